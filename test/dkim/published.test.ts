// Every reason of the condition Published, from real name servers: two that can differ, and a resolver in front of them.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DkimObservation } from '../../operator/compile/model.ts';
import { checkDkimRecord } from '../../operator/observe/dkim-record.ts';
import { type DnsOptions, defaultDnsOptions } from '../../operator/observe/resolver.ts';
import { recordFaults } from '../faults/record.ts';
import { type NameServer, type Resolver, startNameServer, startResolver } from '../parts/bind.ts';
import { type CheckDkim, checksOf, dkimKeyOf, Tenant } from './tenant.ts';

/** The addresses under which the zones know their servers; nobody listens there, see `dns`. */
const first = '192.0.2.1';
const second = '192.0.2.2';
const silentAddress = '192.0.2.3';
const closedAddress = '192.0.2.4';

let ns1: NameServer;
let ns2: NameServer;
let resolver: Resolver;
/** Takes questions and answers none. */
let silent: Socket;
let dns: DnsOptions;
let port = 0;

beforeAll(async () => {
  const servers = ['@ NS ns1.a.test.', '@ NS ns2.a.test.'];
  const addresses = [`ns1 A ${first}`, `ns2 A ${second}`, `ns3 A ${silentAddress}`, `ns4 A ${closedAddress}`];
  ns1 = await startNameServer({
    '.': ['@ NS ns1.a.test.', 'a.test. NS ns1.a.test.', `ns1.a.test. A ${first}`],
    'a.test': [...servers, ...addresses],
    'host.test': ['@ NS ns1.a.test.', '@ NS ns2.a.test.'],
    'silent.test': ['@ NS ns3.a.test.'],
    'closed.test': ['@ NS ns4.a.test.'],
    'half.test': ['@ NS ns1.a.test.', '@ NS ns3.a.test.'],
    // Delegated to a server that does not know it, and to one that cannot load it.
    'refused.test': ['@ NS ns2.a.test.'],
    'broken.test': ['@ NS ns2.a.test.'],
    'noaddress.test': ['@ NS ns9.a.test.'],
  });
  ns2 = await startNameServer({
    'a.test': [...servers, ...addresses],
    'host.test': ['@ NS ns1.a.test.', '@ NS ns2.a.test.'],
    'broken.test': 'broken',
  });
  resolver = await startResolver(ns1.server);
  silent = createSocket('udp4').bind(0, '127.0.0.1');
  await once(silent, 'listening');
  port = silent.address().port;
  const places = new Map([
    [first, ns1.server],
    [second, ns2.server],
    [silentAddress, `127.0.0.1:${port}`],
    [closedAddress, '127.0.0.1:1'],
  ]);
  dns = {
    ...defaultDnsOptions,
    resolvers: [resolver.server],
    authoritativeServer: (address) => places.get(address) ?? '127.0.0.1:1',
    timeoutMs: 300,
    tries: 2,
  };
});

afterAll(async () => {
  silent?.close();
  await Promise.all([ns1?.stop(), ns2?.stop(), resolver?.stop()]);
});

let made = 0;

/** A tenant with a key of a selector of its own, and the strings of its record. */
async function publish(
  spec: Record<string, unknown> = {},
): Promise<{ tenant: Tenant; host: string; strings: string; check: CheckDkim }> {
  made += 1;
  const tenant = new Tenant([dkimKeyOf('k', { selector: `s${made}`, ...spec })]);
  const [check] = checksOf(await tenant.reconcile());
  const record = tenant.status('k').dnsRecord;
  if (check === undefined || record === undefined) throw new Error('no check is wanted');
  const strings = (record.chunks ?? []).map((chunk) => `"${chunk}"`).join(' ');
  return { tenant, host: record.name, strings, check };
}

/** Asks DNS as the operator would, and compiles the answer. */
async function check(tenant: Tenant, dnsOptions: DnsOptions = dns): Promise<DkimObservation> {
  const [want] = checksOf(await tenant.reconcile());
  if (want === undefined) throw new Error('no check is wanted');
  tenant.now = Math.max(tenant.now, want.due);
  const observation = await checkDkimRecord(want, dnsOptions, () => tenant.now, new AbortController().signal);
  tenant.observations.set('k', observation);
  await tenant.reconcile();
  return observation;
}

const both = async (...commands: readonly string[]) => {
  await Promise.all([ns1.update(...commands), ns2.update(...commands)]);
};

describe('K9: reasons of Published, all name servers asked', () => {
  it('RecordVerified: the record stands in strings of 255 on both servers (K5, K8)', async () => {
    const { tenant, host, strings } = await publish({ keyLength: 2048 });
    expect(strings.split('" "')).toHaveLength(2);
    await both(`update add ${host}. 1 TXT ${strings}`);
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe('True/RecordVerified');
    expect(tenant.status('k').nameservers).toEqual([
      { name: 'ns1.a.test', result: 'Match' },
      { name: 'ns2.a.test', result: 'Match' },
    ]);
    expect(tenant.compile().signers.get('a.test')).toHaveLength(1);
  });

  it('RecordVerified: the zone file line of the status is what nsupdate takes (K5)', async () => {
    const { tenant } = await publish({ algorithm: 'Ed25519' });
    await both(`update add ${tenant.status('k').dnsRecord?.zoneFileLine}`);
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe('True/RecordVerified');
  });

  it('RecordNotFound: the name does not exist (NXDOMAIN)', async () => {
    const { tenant } = await publish();
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe('False/RecordNotFound');
    expect(tenant.status('k').nameservers?.map(({ result }) => result)).toEqual([
      'RecordNotFound',
      'RecordNotFound',
    ]);
  });

  it('RecordNotFound: the name exists and has no TXT record (no data)', async () => {
    const { tenant, host } = await publish();
    await both(`update add ${host}. 1 HINFO "a" "b"`);
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe('False/RecordNotFound');
  });

  it('PartiallyPropagated: one of two servers has it; both: verified', async () => {
    const { tenant, host, strings } = await publish();
    await ns1.update(`update add ${host}. 1 TXT ${strings}`);
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe('False/PartiallyPropagated');
    expect(tenant.message('k', 'Published')).toMatch(
      /1 of 2 name servers.*ns2\.a\.test: there is no TXT record/,
    );
    await ns2.update(`update add ${host}. 1 TXT ${strings}`);
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe('True/RecordVerified');
  });

  it.each([
    ['ValueMismatch', 'another key', (value: string) => value.replace(/p=.{40}/, `p=${'A'.repeat(40)}`)],
    ['ValueMismatch', 'a record cut off', (value: string) => value.slice(0, 200)],
    [
      'ValueMismatch',
      'tags in upper case',
      (value: string) => value.replace('v=', 'V=').replace('k=', 'K=').replace('p=', 'P='),
    ],
    ['ValueMismatch', 'no DKIM record', () => 'hello'],
    ['Revoked', 'an empty p=', () => 'v=DKIM1; p='],
    [
      'KeyTooShort',
      'an RSA key of 512 bits',
      () =>
        'v=DKIM1; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBANZlLOzGel03ZHaXnxdbRibcNMAPmaHsruUwH6/n2TWgKjT0rZQiInU+YaP6R4kGvBpXOUSFqxsGgsg28r3QC80CAwEAAQ==',
    ],
  ])('%s: the name servers have %s', async (reason, _title, spoil) => {
    const { tenant, host, check: want } = await publish();
    await both(`update add ${host}. 1 TXT "${spoil(want.value)}"`);
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe(`False/${reason}`);
  });

  it('MultipleRecords: a second TXT record stands beside the right one', async () => {
    const { tenant, host, strings } = await publish();
    await both(`update add ${host}. 1 TXT ${strings}`, `update add ${host}. 1 TXT "v=spf1 -all"`);
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe('False/MultipleRecords');
  });

  it('RecordVerified: over a chain of CNAMEs into another zone, whose servers are then reported', async () => {
    const { tenant, host, strings } = await publish();
    const target = `${host.split('.')[0]}.host.test`;
    await both(`update add ${host}. 1 CNAME mid-${target}.`);
    await both(`update add mid-${target}. 1 CNAME ${target}.`);
    await ns2.update(`update add ${target}. 1 TXT ${strings}`);
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe('False/PartiallyPropagated');
    await ns1.update(`update add ${target}. 1 TXT ${strings}`);
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe('True/RecordVerified');
  });

  it.each(['Authoritative', 'Recursive'])('CnameLoop: the aliases lead back (%s)', async (scope) => {
    const { tenant, host } = await publish({ verification: { scope } });
    const other = `${host.split('.')[0]}.host.test`;
    await both(`update add ${host}. 1 CNAME ${other}.`);
    await both(`update add ${other}. 1 CNAME ${host}.`);
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe('False/CnameLoop');
  });

  it('CnameLoop: an alias of itself', async () => {
    const { tenant, host } = await publish();
    await both(`update add ${host}. 1 CNAME ${host}.`);
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe('False/CnameLoop');
  });
});

describe('X15: name servers that say nothing', () => {
  // One each.
  afterEach(() => recordFaults(1));
  /** Looks for the record of a key at another host. */
  async function look(host: string, options: DnsOptions = dns, scope: CheckDkim['scope'] = 'Authoritative') {
    const { check: want } = await publish();
    const elsewhere = { ...want, host, scope };
    const { nameservers } = await checkDkimRecord(elsewhere, options, () => 0, new AbortController().signal);
    return nameservers.map(({ name, answer }) => `${name} ${answer.result}: ${answer.detail ?? ''}`);
  }

  it.each([
    [
      'a server that drops everything',
      's.silent.test',
      'ns3.a.test ResolverError: it does not answer in time',
    ],
    ['a closed port', 's.closed.test', 'ns4.a.test ResolverError: nothing listens there'],
    ['REFUSED', 's.refused.test', 'ns2.a.test ResolverError: it refuses the question'],
    ['SERVFAIL', 's.broken.test', 'ns2.a.test ResolverError: it answers SERVFAIL'],
    ['a name server without address', 's.noaddress.test', 'ns9.a.test ResolverError: it has no address'],
  ])('%s gives ResolverError', async (_title, host, expected) => {
    expect(await look(host)).toEqual([expected]);
  });

  it('a domain that does not exist gives RecordNotFound', async () => {
    expect(await look('s._domainkey.nowhere.invalid')).toEqual([
      expect.stringMatching(
        /RecordNotFound: the domain does not exist|RecordNotFound: there is no TXT record/,
      ),
    ]);
  });

  it('one silent server of two leaves open what the other denies', async () => {
    expect(await look('s.half.test')).toEqual([
      'ns1.a.test RecordNotFound: there is no TXT record',
      'ns3.a.test ResolverError: it does not answer in time',
    ]);
  });

  it.each(['Authoritative', 'Recursive'] as const)(
    'a resolver that is not there gives ResolverError (%s)',
    async (scope) => {
      const options = { ...dns, resolvers: [`127.0.0.1:${port}`] };
      expect(await look('s.a.test', options, scope)).toEqual([
        expect.stringMatching(/ResolverError: it does not answer/),
      ]);
    },
  );

  it('the deadline of a whole check ends it', async () => {
    const options = { ...dns, timeoutMs: 60_000, deadlineMs: 200 };
    expect(await look('s.silent.test', options)).toEqual([
      'ns3.a.test ResolverError: it does not answer in time',
    ]);
  });

  it('a check that is aborted says nothing', async () => {
    const { check: want } = await publish();
    const abort = new AbortController();
    const running = checkDkimRecord(
      { ...want, host: 's.silent.test' },
      { ...dns, timeoutMs: 60_000 },
      () => 0,
      abort.signal,
    );
    const asked = once(silent, 'message');
    await asked;
    abort.abort(new Error('shutting down'));
    await expect(running).rejects.toThrow('shutting down');
  });

  it('a key that was verified stays so while nobody answers, and is lost only when a server denies it (K16)', async () => {
    const { tenant, host, strings } = await publish();
    await both(`update add ${host}. 1 TXT ${strings}`);
    await check(tenant);
    const closed = { ...dns, authoritativeServer: () => '127.0.0.1:1' };
    await check(tenant, closed);
    expect(tenant.condition('k', 'Published')).toBe('True/RecordVerified');
    expect(tenant.status('k').nameservers?.map(({ result }) => result)).toEqual([
      'ResolverError',
      'ResolverError',
    ]);
    await both(`update delete ${host}. TXT`);
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe('False/RecordLost');
    expect(tenant.compile().signers.get('a.test')).toHaveLength(1);
  });
});

describe('K7, K9: when DNS is asked', () => {
  it('K7: OnRequest: the name servers see no question until requestId is set', async () => {
    const selector = 'unasked';
    const tenant = new Tenant([dkimKeyOf('k', { selector, verification: { mode: 'OnRequest' } })]);
    for (const _reconcile of [1, 2, 3]) expect(checksOf(await tenant.reconcile())).toEqual([]);
    const asked = async () =>
      (await ns1.queries()).filter((query) => query.startsWith(`${selector}._domainkey.a.test`));
    expect(await asked()).toEqual([]);
    tenant.edit('k', { verification: { mode: 'OnRequest', requestId: 'begin', scope: 'Authoritative' } });
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe('False/RecordNotFound');
    expect(await asked()).toContain(`${selector}._domainkey.a.test txt`);
    expect(await ns2.queries()).toContain(`${selector}._domainkey.a.test txt`);
  });

  it('K9: a record that comes after 72 hours is still found', async () => {
    const { tenant, host, strings } = await publish();
    await check(tenant);
    tenant.now += 73 * 3_600_000;
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe('False/PropagationTimeout');
    await both(`update add ${host}. 1 TXT ${strings}`);
    await check(tenant);
    expect(tenant.condition('k', 'Published')).toBe('True/RecordVerified');
  });

  it('scope Recursive asks the resolver alone', async () => {
    const { tenant, host, strings } = await publish({ verification: { scope: 'Recursive' } });
    await ns1.update(`update add ${host}. 1 TXT ${strings}`);
    const { nameservers } = await check(tenant);
    expect(nameservers).toEqual([{ name: resolver.server, answer: { result: 'Match' } }]);
    expect(tenant.condition('k', 'Published')).toBe('True/RecordVerified');
    expect((await ns2.queries()).some((query) => query.startsWith(host))).toBe(false);
  });
});
