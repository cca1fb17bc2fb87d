import type { DkimSigner } from '../../bundle/domain-policy.ts';
import type { DkimKey, MailDomain } from '../api/index.ts';
import { type AccessList, listsOf } from './access-lists.ts';
import { type ConditionInput, condition } from './conditions.ts';
import type { DkimTranslation } from './dkim.ts';
import { type DomainSlice, gatewayOf } from './domain-slice.ts';
import { findMta } from './domains.ts';
import type { Gateway } from './gateway.ts';
import type { MailDns } from './mail-dns.ts';
import type { Snapshot } from './model.ts';
import { shadowedRules } from './routing.ts';
import { readyPods } from './status.ts';
import type { Tls } from './tls.ts';

type Ledger = NonNullable<MailDomain['status']>['ledger'];

/** Everything that is said on a MailDomain about the objects around it. */
export interface Surroundings {
  readonly snapshot: Snapshot;
  readonly lists: readonly AccessList[];
  readonly gateways: readonly Gateway[];
  readonly tls: readonly Tls[];
  readonly dkimKeys: readonly DkimKey[];
  readonly dkim: DkimTranslation;
  /** By MailDomain name. */
  readonly domainSlices: ReadonlyMap<string, DomainSlice>;
  /** By MailDomain name. */
  readonly mailDns: ReadonlyMap<string, MailDns>;
}

/** The conditions of a MailDomain that do not count for Ready. @param slice undefined if it is not hosted */
export function domainConditions(
  object: MailDomain,
  slice: DomainSlice | undefined,
  around: Surroundings,
): ConditionInput[] {
  const available = mtaAvailable(object, around.snapshot);
  const stranded = queueStranded(object, around.snapshot);
  if (slice === undefined) return [available, ...stranded];
  const { name } = object.metadata;
  const doctor = around.mailDns.get(name);
  return [
    available,
    ...stranded,
    dkimReady(name, around),
    ...(doctor?.conditions ?? []),
    ...slice.recipients.conditions,
    ...shadowedRules(object, gatewayOf(around.gateways, name, false)),
    ...tlsAffected(name, around.tls),
    ...unaligned(slice, doctor, around.domainSlices),
  ];
}

/** The fields of a MailDomain's status. @param policyHash undefined if it is in no bundle */
export function domainStatusFields(
  object: MailDomain,
  policyHash: string | undefined,
  around: Surroundings,
): Omit<NonNullable<MailDomain['status']>, 'conditions'> {
  const { name } = object.metadata;
  const allow = listsOf(around.lists, name, 'Allow', true);
  const block = listsOf(around.lists, name, 'Block', true);
  const gateway = gatewayOf(around.gateways, name, true);
  const signer = around.dkim.signers.get(object.spec.domain)?.[0];
  const ledger = ledgerOf(object, policyHash !== undefined, around.snapshot);
  return {
    attached: {
      ipAccessLists: allow.length + block.length,
      inboundGateways: around.gateways.filter(({ verdicts }) =>
        verdicts.some((verdict) => verdict.name === name),
      ).length,
      tlsPolicies: around.tls.filter(({ domains }) => domains.has(name)).length,
      dkimKeys: around.dkimKeys.filter(({ spec }) => spec.domainRef.name === name).length,
      allowEntries: count(allow),
      blockEntries: count(block),
      ...(gateway === undefined ? {} : { inboundGateway: gateway.object.metadata.name }),
    },
    ...(signer === undefined ? {} : { dkim: { activeKey: signer.source.name, selector: signer.selector } }),
    ...(policyHash === undefined ? {} : { policyHash }),
    ...(ledger === undefined ? {} : { ledger }),
  };
}

/**
 * What the pods of its MTA have counted for a domain, each changing its numbers every ten minutes at most. What is known stays until
 * all of them answer: a pod that is away for a while takes nothing with it.
 *
 * @returns undefined while there is nothing to tell
 */
function ledgerOf({ spec, status }: MailDomain, isServed: boolean, { observed, mtas }: Snapshot): Ledger {
  const replicas = mtas.find(({ name }) => name === spec.mta)?.replicas ?? 0;
  const pods = observed.pods.filter(({ mta }) => mta === spec.mta);
  const answers = pods.flatMap(({ state }) =>
    state.ok && state.value.domainLedgers !== undefined ? [state.value.domainLedgers] : [],
  );
  if (!isServed || answers.length < Math.max(pods.length, replicas, 1)) return status?.ledger;
  const own = answers.flatMap((domains) =>
    Object.hasOwn(domains, spec.domain) ? (domains[spec.domain] ?? []) : [],
  );
  const sum = (entry: keyof NonNullable<Ledger>) => own.reduce((total, counts) => total + counts[entry], 0);
  if (own.length === 0) return undefined;
  return {
    suppressedNdrs: sum('suppressedNdrs'),
    backscatterAvoided: sum('backscatterAvoided'),
    doubleBounces: sum('doubleBounces'),
    expired: sum('expired'),
  };
}

function mtaAvailable({ spec }: MailDomain, snapshot: Snapshot): ConditionInput {
  const lookup = findMta(spec.mta, snapshot);
  if (!lookup.ok) return condition('MtaAvailable', 'False', lookup.reason, lookup.message);
  if (readyPods(spec.mta, snapshot.observed.pods).length > 0)
    return condition('MtaAvailable', 'True', 'MtaAvailable');
  return condition('MtaAvailable', 'Unknown', 'NoReadyPods', `MTA ${spec.mta} has no ready pod`);
}

/** More claims than this are counted, not named. */
const maxNamedClaims = 5;

/** The MTA was scaled down, and mail lies on volumes that no pod mounts. */
function queueStranded({ spec }: MailDomain, { observed, mtas }: Snapshot): ConditionInput[] {
  const mta = mtas.find(({ name }) => name === spec.mta);
  const queues = (observed.strandedQueues ?? []).filter((queue) => queue.mta === spec.mta);
  if (mta === undefined || queues.length === 0) return [];
  const named = queues.slice(0, maxNamedClaims).map(({ claim, queued }) => {
    if (queued === undefined) return `${claim} (may hold mail)`;
    return `${claim} (${queued} ${queued === 1 ? 'mail' : 'mails'})`;
  });
  const rest = queues.length > maxNamedClaims ? ` and ${queues.length - maxNamedClaims} more` : '';
  const message = `MTA ${spec.mta} (replicas: ${mta.replicas}) has no pod for PersistentVolumeClaim ${named.join(', ')}${rest}`;
  return [condition('QueueStranded', 'True', 'QueueStranded', message)];
}

function dkimReady(mailDomain: string, { dkimKeys, dkim }: Surroundings): ConditionInput {
  const keys = dkimKeys.filter(({ spec }) => spec.domainRef.name === mailDomain);
  const having = (type: string) =>
    keys.find(({ metadata }) =>
      dkim.results.get(metadata.name)?.conditions.some((one) => one.type === type && one.status === 'True'),
    );
  const [first] = keys;
  if (first === undefined)
    return condition('DkimReady', 'False', 'NoKey', 'No DkimKey names this MailDomain');
  const signing = having('Signing');
  if (signing !== undefined)
    return condition('DkimReady', 'True', 'DkimReady', `DkimKey ${signing.metadata.name}`);
  const published = having('Published');
  if (published === undefined) {
    return condition('DkimReady', 'False', 'NotPublished', `DkimKey ${first.metadata.name} is not Published`);
  }
  return condition(
    'DkimReady',
    'False',
    'NotSigning',
    `DkimKey ${published.metadata.name} is Published and not Signing`,
  );
}

function tlsAffected(mailDomain: string, policies: readonly Tls[]): ConditionInput[] {
  const names = policies
    .filter(({ object, domains }) => domains.has(mailDomain) && object.spec.enforcement === 'Enforce')
    .map(({ object }) => object.metadata.name)
    .sort();
  if (names.length === 0) return [];
  return [condition('TlsPolicyAffected', 'True', 'TlsPolicyAffected', `TlsPolicy ${names.join(', ')}`)];
}

/**
 * DmarcUnaligned (K1, K11): without a key of its own a domain's mail is signed with the fallback key, which counts for DMARC only if
 * alignment is relaxed and the two share their organizational domain (RFC 9989 section 4.4.1).
 */
function unaligned(
  { policy, hosted }: DomainSlice,
  doctor: MailDns | undefined,
  slices: ReadonlyMap<string, DomainSlice>,
): ConditionInput[] {
  if (policy.dkim.length > 0) return [];
  const alignment = doctor?.alignment;
  const organization = alignment?.dkim === 'Relaxed' ? alignment.organizationalDomain : undefined;
  const fallbacks = [...slices.values()]
    .filter((slice) => slice.hosted.mta === hosted.mta)
    .flatMap((slice) => slice.policy.dkim.filter(({ fallback }) => fallback));
  const aligned = ({ domain }: DkimSigner) =>
    organization !== undefined && (domain === organization || domain.endsWith(`.${organization}`));
  if (fallbacks.some(aligned)) return [];
  // After a restart the policy is known by the status alone: what was said then stays until DNS has answered.
  const policyFound = doctor?.conditions.some(
    ({ type, status }) => type === 'DmarcReady' && status === 'True',
  );
  const warned = hosted.object.status?.conditions?.some(({ type }) => type === 'DmarcUnaligned');
  if (policyFound === true && alignment === undefined && fallbacks.length > 0 && warned === false) return [];
  return [
    condition('DmarcUnaligned', 'True', 'DmarcUnaligned', 'No DkimKey of this domain signs: see DkimReady'),
  ];
}

function count(lists: readonly AccessList[]): number {
  return lists.reduce((sum, { entries }) => sum + entries.entryCount, 0);
}
