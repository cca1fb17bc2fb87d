import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { apiVersion, kinds, parseObject } from '../../operator/api/index.ts';
import { address, type Manifest, many, network6 } from './cases/case.ts';
import { cases } from './cases.ts';
import { useCrdServer } from './server.ts';

const server = useCrdServer();

function manifest(kind: Manifest['kind'], name: string, spec: object): Manifest {
  return { apiVersion, kind, metadata: { name, namespace: 'tenant' }, spec };
}

async function kubectl(
  args: readonly string[],
  input?: object,
): Promise<{ code: number | null; output: string }> {
  const stdin = input === undefined ? undefined : JSON.stringify(input);
  const { code, stdout, stderr } = await server.plane.kubectl(
    'admin',
    ['--namespace=tenant', ...args],
    stdin,
  );
  return { code, output: stdout + stderr };
}

const apply = (input: object, ...flags: string[]) => kubectl(['apply', ...flags, '-f', '-'], input);

/** The least accepted manifest of each kind, under a name of its own. */
const least = Object.fromEntries(
  kinds.map(({ kind, singular }) => {
    const found = cases.find(({ manifest: { kind: of }, refused }) => of === kind && refused === undefined);
    return [kind, manifest(kind, `least-${singular}`, Object(found?.manifest.spec))];
  }),
);

describe('kubectl', () => {
  test('CRD2: all kinds belong to the category postern, with short names of their own', async () => {
    const { output } = await kubectl(['api-resources', '--categories=postern', '--no-headers']);
    const rows = output
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/));
    expect(rows.map(([plural, shortName]) => [plural, shortName])).toEqual(
      kinds.map(({ plural, shortNames }) => [plural, shortNames.join(',')]).sort(),
    );
  });

  test.each(kinds)('CRD10: kubectl explain $plural knows every field and what it means', async (kind) => {
    const tree = await kubectl(['explain', kind.plural, '--recursive']);
    expect(tree.code).toBe(0);
    for (const field of Object.keys(kind.spec.shape))
      expect(tree.output).toMatch(new RegExp(`^ +${field}\\t<`, 'm'));
    for (const part of ['', '.spec', '.status', '.status.conditions']) {
      const { code, output } = await kubectl(['explain', kind.plural + part]);
      expect(code).toBe(0);
      expect(output).not.toMatch(/<no description>|<empty>/);
    }
  });

  test('CRD8: the columns of every kind', async () => {
    for (const kind of kinds) {
      expect(await apply(least[kind.kind] ?? {})).toMatchObject({ code: 0 });
    }
    const heads = await Promise.all(kinds.map(({ plural }) => kubectl(['get', plural])));
    const wide = await Promise.all(kinds.map(({ plural }) => kubectl(['get', plural, '-o', 'wide'])));
    const columns = (table: { output: string }) =>
      table.output.split('\n')[0]?.split(/ {2,}/).join(' ').trim();
    expect(heads.map(columns)).toEqual([
      'NAME DOMAIN READY DKIM MTA AGE',
      'NAME HOST PORT TLS USED-BY READY AGE',
      'NAME ACTION ENTRIES READY AGE',
      'NAME DOMAINS ADDRESSES ONLY READY AGE',
      'NAME DIRECTIONS PEERS CA HOSTNAME READY AGE',
      'NAME DOMAIN SELECTOR BITS PUBLISHED SIGNING READY AGE',
    ]);
    expect(wide.map(columns)).toEqual([
      'NAME DOMAIN READY DKIM MTA REASON ALLOW BLOCK GATEWAY AGE',
      'NAME HOST PORT TLS USED-BY READY REASON REACHABLE AGE',
      'NAME ACTION ENTRIES READY DUPLICATES SHADOWED REASON AGE',
      'NAME DOMAINS ADDRESSES ONLY READY REASON AGE',
      'NAME DIRECTIONS PEERS CA HOSTNAME READY TITLE REASON AGE',
      'NAME DOMAIN SELECTOR BITS PUBLISHED SIGNING READY HOST REASON NEXT-CHECK AGE',
    ]);
    // A new object is not ready, and says why, before any operator has seen it.
    expect(wide[0]?.output).toMatch(/least-maildomain +\S+ +Unknown .*Pending/);
  });

  test.each(kinds)(
    'ST1, ST3: $kind: a new object says Unknown/Pending in all shared conditions',
    async (kind) => {
      const created = await server.create(
        manifest(kind.kind, `new-${kind.singular}`, Object(least[kind.kind]?.spec)),
      );
      expect(created.ok).toBe(true);
      const { output } = await kubectl(['get', kind.plural, `new-${kind.singular}`, '-o', 'json']);
      const read: unknown = JSON.parse(output);
      const pending = { status: 'Unknown', reason: 'Pending' };
      expect(read).toMatchObject({
        status: {
          conditions: ['Accepted', 'ResolvedRefs', 'Programmed', 'Ready'].map((type) => ({
            type,
            ...pending,
          })),
        },
      });
      // The operator reads it as a tenant wrote it, status and all.
      const parsed = parseObject(kind.kind, read);
      expect(parsed.ok && parsed.object.status?.conditions).toHaveLength(4);
      const waited = await kubectl([
        'wait',
        '--for=condition=Ready',
        `${kind.plural}/new-${kind.singular}`,
        '--timeout=0',
      ]);
      expect(waited.code).toBe(1);
    },
  );

  test('CRD9: field selectors', async () => {
    const names = async (plural: string, selector: string) =>
      (await kubectl(['get', plural, '--field-selector', selector, '-o', 'name'])).output.trim();
    await server.create(
      manifest('MailDomain', 'chosen', { domain: 'chosen.example', mailbox: { routeRef: { name: 'r' } } }),
    );
    await server.create(manifest('Route', 'chosen', { host: 'chosen.example' }));
    await server.create(manifest('IpAccessList', 'chosen', { action: 'Allow', allDomains: true }));
    await server.create(manifest('DkimKey', 'chosen', { domainRef: { name: 'chosen' } }));
    expect(await names('mdom', 'spec.domain=chosen.example')).toBe('maildomain.postern.dev/chosen');
    expect(await names('mroute', 'spec.host=chosen.example')).toBe('route.postern.dev/chosen');
    expect(await names('ipal', 'spec.action=Allow')).toBe('ipaccesslist.postern.dev/chosen');
    expect(await names('dkim', 'spec.domainRef.name=chosen')).toBe('dkimkey.postern.dev/chosen');
  });
});

describe('long lists through kubectl', () => {
  const list = (name: string, spec: object) =>
    manifest('IpAccessList', name, { action: 'Block', allDomains: true, ...spec });
  const lists: [string, Manifest][] = [
    ['IPv4 addresses', list('many-v4', { addresses: many(10_000, address) })],
    ['IPv6 networks', list('many-v6', { addresses: many(10_000, network6) })],
  ];

  test.each(lists)('A2: 10,000 %s pass kubectl apply, twice', async (_, object) => {
    expect(await apply(object)).toMatchObject({ code: 0 });
    expect((await apply(object)).output).toContain('unchanged');
  });

  test.each(lists)('A2: 10,000 %s pass kubectl apply --server-side', async (_, object) => {
    const named = { ...object, metadata: { ...object.metadata, name: `${object.metadata.name}-ssa` } };
    expect(await apply(named, '--server-side')).toMatchObject({ code: 0 });
  });

  test('A2: 10,001 addresses are refused by kubectl apply with the limit', async () => {
    const { code, output } = await apply(list('too-many', { addresses: many(10_001, address) }));
    expect(code).toBe(1);
    expect(output).toContain('must have at most 10000 items');
  });

  test('A5: 10,000 annotated entries pass --server-side only, since kubectl apply keeps a copy in an annotation', async () => {
    const entries = many(10_000, (index) => ({ address: address(index), note: `partner ${index}` }));
    const clientSide = await apply(list('annotated', { entries }));
    expect(clientSide.code).toBe(1);
    expect(clientSide.output).toContain('Too long');
    expect(await apply(list('annotated', { entries }), '--server-side')).toMatchObject({ code: 0 });
  });

  test('A2: the largest list that the schema takes is stored', async () => {
    const notes = many(10_000, (index) => ({ address: address(index), note: 'n'.repeat(30) }));
    expect(await server.create(list('largest', { entries: notes }))).toMatchObject({ ok: true });
    const size = z.object({ spec: z.object({ entries: z.array(z.unknown()) }) });
    const { output } = await kubectl(['get', 'ipal', 'largest', '-o', 'json']);
    expect(size.parse(JSON.parse(output)).spec.entries).toHaveLength(10_000);
  });
});

describe('CRD11: fields that keep their first value', () => {
  const immutable = 'may not be changed: create a new object instead';
  const optional = 'may not be set, changed or removed later: create a new object instead';
  const rows: [string, Manifest['kind'], object, object, string][] = [
    ['MailDomain.domain', 'MailDomain', {}, { domain: 'other.example' }, immutable],
    ['MailDomain.mta', 'MailDomain', {}, { mta: 'other' }, immutable],
    ['A1: IpAccessList.action', 'IpAccessList', {}, { action: 'Allow' }, immutable],
    ['DkimKey.domainRef', 'DkimKey', {}, { domainRef: { name: 'other' } }, immutable],
    ['K2: DkimKey.selector', 'DkimKey', {}, { selector: 'other' }, immutable],
    ['K15: DkimKey.algorithm', 'DkimKey', {}, { algorithm: 'Ed25519' }, immutable],
    ['K4: DkimKey.keyLength is not set later', 'DkimKey', {}, { keyLength: 1024 }, optional],
    ['K4: DkimKey.keyLength is not changed', 'DkimKey', { keyLength: 1024 }, { keyLength: 2048 }, optional],
    ['K4: DkimKey.keyLength is not removed', 'DkimKey', { keyLength: 1024 }, { keyLength: null }, optional],
    ['K5: DkimKey.secretName is not set later', 'DkimKey', {}, { secretName: 'mine' }, optional],
    [
      'K5: DkimKey.secretName is not removed',
      'DkimKey',
      { secretName: 'mine' },
      { secretName: null },
      optional,
    ],
  ];

  test.each(rows.map((row, index) => [...row, index] as const))(
    '%s',
    async (_, kind, first, change, message, index) => {
      const object = manifest(kind, `fixed-${index}`, { ...Object(least[kind]?.spec), ...first });
      expect(await server.create(object)).toMatchObject({ ok: true });
      const changed = await server.patch(object, { spec: change });
      expect(changed.ok ? 'changed' : changed.message).toContain(message);
      // Any other change passes, so it is the field that is held, not the object.
      expect(await server.patch(object, { metadata: { labels: { touched: 'yes' } } })).toMatchObject({
        ok: true,
      });
    },
  );

  test('K14: state, fallback and verification of a DkimKey may change', async () => {
    const object = manifest('DkimKey', 'changing', { domainRef: { name: 'example' }, state: 'Standby' });
    await server.create(object);
    const change = {
      state: 'Active',
      fallback: true,
      verification: { mode: 'OnRequest', requestId: 'again' },
    };
    expect(await server.patch(object, { spec: change })).toMatchObject({ ok: true, spec: change });
  });
});
