import { parseDocument } from 'yaml';
import type * as z from 'zod';
import { accessAddress, hostName, integer, mailAddress, object, text } from './field.ts';
import { limits } from './limits.ts';
import { listOf, setOf } from './list.ts';
import { type Problem, toProblem } from './problem.ts';
import { prune, type UnknownField } from './prune.ts';
import { parseStrictIp } from './strict-address.ts';

/** Key of the settings in their ConfigMap; in a standalone folder it is the name of the file. */
export const mtaSettingsKey = 'mta.yaml';

/** Name of the ConfigMap with the settings of an MTA. */
export function mtaConfigMapName(mta: string): string {
  return `postern-mta-${mta}`;
}

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

/** 5m, 10m, 15m, 3 x 30m, 4 x 1h, 4 x 2h; the last one, 4h, repeats until the queue lifetime is over (R6). */
const retryIntervals = [
  5 * minute,
  10 * minute,
  15 * minute,
  ...[30, 30, 30].map((minutes) => minutes * minute),
  ...[1, 1, 1, 1, 2, 2, 2, 2, 4].map((hours) => hours * hour),
];

// No custom resource, so these rules need no CEL half.
const plainAddress = text('IP address.', { min: 2, max: limits.addressLength }).refine(
  (value) => parseStrictIp(value) !== undefined,
  'must be an IP address',
);

const resolverAddress = text('Address, or address:port ([address]:port for IPv6).', {
  min: 2,
  max: 64,
}).refine(
  isSocketAddress,
  'must be an IP address, with a port where it is not 53: 10.0.0.53:5353 or [2001:db8::53]:5353',
);

/**
 * Settings of one MTA. They belong to whoever installs the MTA, not to who writes policy, hence no kind of their own: the
 * tenant chart writes them into a ConfigMap, and a standalone folder holds them as a file.
 */
export const mtaSettings = object('Settings of one MTA, the same for all its pods.', {
  heloName: hostName(
    'Name in the greeting, in EHLO and in Received lines. It must resolve to the address that mail leaves from, and that address back to it.',
  ),
  egressAddresses: setOf(
    'Addresses that mail leaves from, as the outside sees them: what SPF must cover.',
    plainAddress,
    { max: 64 },
  ).default([]),
  postmaster: mailAddress(
    'Sender shown in reports, and recipient of postmaster@ where a MailDomain names none. Unset: postmaster@ and heloName.',
  ).optional(),
  maxMessageBytes: integer('Largest message of any domain, in bytes.', {
    min: limits.minMessageBytes,
    max: limits.maxMessageBytes,
  }).default(104_857_600),
  queueLifetimeSeconds: integer('Seconds after which undelivered mail is reported to its sender.', {
    min: hour,
    max: 14 * day,
  }).default(5 * day),
  retryIntervalsSeconds: listOf(
    'Seconds between the attempts to deliver; the last one repeats.',
    integer('Seconds.', { min: 1, max: day }),
    { min: 1, max: 64 },
  ).default(retryIntervals),
  perDestinationConcurrency: integer('Connections of one pod to one destination at a time.', {
    min: 1,
    max: 1_000,
  }).default(20),
  proxyProtocolFrom: setOf(
    'Load balancers that send PROXY protocol (v1 or v2); it is believed from nobody else.',
    accessAddress('IP address or CIDR.'),
    { max: 64 },
  ).default([]),
  trustedRanges: setOf(
    'Ranges that are true client addresses although pods, nodes or Services have them; lists may then hold them.',
    accessAddress('IP address or CIDR.'),
    { max: 64 },
  ).default([]),
  resolvers: listOf('Name servers to ask. Empty: those of the system.', resolverAddress, { max: 8 }).default(
    [],
  ),
  internalMxRanges: setOf(
    'Private or loopback ranges that the MX of a recipient may lead to. Others of that kind are refused: anyone can publish them.',
    accessAddress('IP address or CIDR.'),
    { max: 64 },
  ).default([]),
  workers: integer('Processes that serve connections; 0 means a single process without a supervisor.', {
    min: 0,
    max: 64,
  }).default(0),
});

/** Settings with every default filled in. */
export type MtaSettings = z.output<typeof mtaSettings>;

/**
 * Reads the settings of an MTA.
 *
 * @param document a YAML or JSON document
 * @returns the settings with defaults filled in, or every problem found
 */
export function parseMtaSettings(
  document: string,
): { ok: true; settings: MtaSettings } | { ok: false; problems: Problem[] } {
  const yaml = parseDocument(document, { prettyErrors: true });
  if (yaml.errors.length > 0) {
    return { ok: false, problems: yaml.errors.map(({ message }) => ({ path: '', message })) };
  }
  const unknown: UnknownField[] = [];
  const pruned = prune(mtaSettings, yaml.toJS() ?? {}, '', unknown);
  const parsed = mtaSettings.safeParse(pruned);
  const problems: Problem[] = unknown.map(({ path }) => ({ path, message: `unknown field "${path}"` }));
  if (!parsed.success) problems.push(...parsed.error.issues.map((issue) => toProblem(issue, pruned, [])));
  if (!parsed.success || problems.length > 0) return { ok: false, problems };
  return { ok: true, settings: parsed.data };
}

function isSocketAddress(value: string): boolean {
  if (parseStrictIp(value) !== undefined) return true;
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):([1-9][0-9]{0,4})$/.exec(value) ?? [];
  const address = bracketed ?? plain;
  return address !== undefined && parseStrictIp(address) !== undefined && Number(port) <= 65_535;
}
