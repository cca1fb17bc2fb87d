import { worseAnswer } from '../compile/dkim-answers.ts';
import type { DkimAnswer, DkimObservation, Want } from '../compile/model.ts';
import { judgeDkimRecords } from './dkim-tags.ts';
import { type DnsClient, type DnsOptions, type DnsOutcome, openDnsClient } from './resolver.ts';
import { findNameServers, type NameServer } from './zone.ts';

type NamedAnswer = DkimObservation['nameservers'][number];

/** Names that one check looks at, over all aliases: zones written by strangers must not send us round the world. */
const maxNames = 16;
/** Servers asked at a time. */
const concurrency = 6;
/** Entries of an observation; the root has 13 name servers, so nobody needs more. */
const maxEntries = 13;

/**
 * Asks DNS whether the record of a key is there: every authoritative server of its zone, or just the configured resolver.
 * CNAMEs are followed; the servers of the last zone are then those that are reported.
 *
 * @param check the host, and the value that it should have
 * @param now milliseconds since the epoch; read once, when the check begins
 * @param signal ends the check early
 * @returns one entry per name server, sorted by name. No DNS answer makes it throw.
 * @throws the signal's reason if it was aborted: a check that did not end says nothing.
 */
export async function checkDkimRecord(
  check: Extract<Want, { kind: 'checkDkim' }>,
  dns: DnsOptions,
  now: () => number,
  signal: AbortSignal,
): Promise<DkimObservation> {
  signal.throwIfAborted();
  const checkedAt = now();
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(dns.deadlineMs)]);
  const open = (servers: readonly string[]) => openDnsClient(servers, dns, bounded);
  const walk: Walk = { value: check.value, dns, open, recursive: open(dns.resolvers), names: 0 };
  const host = check.host.toLowerCase();
  const answers =
    check.scope === 'Recursive' ? [await askResolver(walk, host)] : await askZone(walk, host, []);
  signal.throwIfAborted();
  return {
    dkimKey: check.dkimKey,
    checkedAt,
    host: check.host,
    publicKeySHA256: check.publicKeySHA256,
    nameservers: tidy(answers),
  };
}

interface Walk {
  readonly value: string;
  readonly dns: DnsOptions;
  readonly open: (servers: readonly string[]) => DnsClient;
  readonly recursive: DnsClient;
  names: number;
}

type ServerReply =
  | { readonly kind: 'answer'; readonly answer: DkimAnswer }
  | { readonly kind: 'alias'; readonly target: string };

/** @param chain names that led here by CNAME, so that a loop is seen */
async function askZone(walk: Walk, name: string, chain: readonly string[]): Promise<NamedAnswer[]> {
  walk.names += 1;
  if (chain.includes(name) || walk.names > maxNames) return [{ name: resolverName(walk), answer: cnameLoop }];
  const servers = await findNameServers(walk.recursive, name);
  if (servers.kind !== 'found') {
    const answer: DkimAnswer =
      servers.kind === 'failed'
        ? { result: 'ResolverError', detail: servers.detail }
        : { result: 'RecordNotFound', detail: 'the domain does not exist in DNS' };
    return [{ name: resolverName(walk), answer }];
  }
  const replies = await mapBounded(servers.value.slice(0, maxEntries), async (server) => ({
    server,
    reply: await askServer(walk, server, name),
  }));
  const answers: NamedAnswer[] = [];
  const targets = new Set<string>();
  for (const { server, reply } of replies) {
    if (reply.kind === 'alias') targets.add(reply.target);
    else answers.push({ name: server.name, answer: reply.answer });
  }
  for (const target of targets) answers.push(...(await askZone(walk, target, [...chain, name])));
  return answers;
}

/** One name may have several addresses, each of which receivers may ask: the worst answer counts. */
async function askServer(walk: Walk, server: NameServer, name: string): Promise<ServerReply> {
  if (server.addresses.kind === 'failed')
    return failed(`its address cannot be found: ${server.addresses.detail}`);
  if (server.addresses.kind === 'none') return failed('it has no address');
  let worst: DkimAnswer | undefined;
  for (const address of server.addresses.value) {
    const reply = await askAddress(walk, walk.dns.authoritativeServer(address), name);
    if (reply.kind === 'alias') return reply;
    worst = worst === undefined ? reply.answer : worseAnswer(worst, reply.answer);
  }
  return worst === undefined ? failed('it has no address') : { kind: 'answer', answer: worst };
}

async function askAddress(walk: Walk, server: string, name: string): Promise<ServerReply> {
  const client = walk.open([server]);
  const records = await client.txt(name);
  if (records.kind === 'found') {
    return { kind: 'answer', answer: judgeDkimRecords(records.value, walk.value) };
  }
  if (records.kind === 'failed' && records.code !== 'ESERVFAIL') return failed(records.detail);
  // "No TXT" is what an alias into a foreign zone looks like, and SERVFAIL an alias that leads round within the zone.
  const alias = await client.cname(name);
  if (alias.kind === 'found') return { kind: 'alias', target: alias.value };
  if (records.kind === 'failed') return failed(records.detail);
  if (alias.kind === 'failed') return failed(alias.detail);
  return { kind: 'answer', answer: judgeDkimRecords([], walk.value) };
}

async function askResolver(walk: Walk, host: string): Promise<NamedAnswer> {
  const name = resolverName(walk);
  const records = await walk.recursive.txt(host);
  if (records.kind === 'found') return { name, answer: judgeDkimRecords(records.value, walk.value) };
  // Resolvers report a loop as SERVFAIL, or as an alias without a record.
  const seen = [host];
  let alias: DnsOutcome<string> = await walk.recursive.cname(host);
  while (alias.kind === 'found') {
    if (seen.includes(alias.value) || seen.length >= maxNames) return { name, answer: cnameLoop };
    seen.push(alias.value);
    alias = await walk.recursive.cname(alias.value);
  }
  if (records.kind === 'failed') return { name, answer: { result: 'ResolverError', detail: records.detail } };
  return { name, answer: judgeDkimRecords([], walk.value) };
}

const cnameLoop: DkimAnswer = {
  result: 'CnameLoop',
  detail: `the CNAME leads back to itself, or over more than ${maxNames} names`,
};

function failed(detail: string): ServerReply {
  return { kind: 'answer', answer: { result: 'ResolverError', detail } };
}

function resolverName(walk: Walk): string {
  return walk.dns.resolvers[0] ?? 'resolver';
}

/** One entry per name, the worst; sorted, so that the same answers give the same status. */
function tidy(answers: readonly NamedAnswer[]): NamedAnswer[] {
  const byName = new Map<string, DkimAnswer>();
  for (const { name, answer } of answers) {
    const before = byName.get(name);
    byName.set(name, before === undefined ? answer : worseAnswer(before, answer));
  }
  return [...byName]
    .map(([name, answer]) => ({ name, answer }))
    .sort((left, right) => (left.name < right.name ? -1 : 1))
    .slice(0, maxEntries);
}

async function mapBounded<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += concurrency) {
    results.push(...(await Promise.all(items.slice(at, at + concurrency).map(work))));
  }
  return results;
}
