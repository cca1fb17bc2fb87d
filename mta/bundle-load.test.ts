import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { RangeList } from '../bundle/range-list.ts';
import { publicUnits } from '../bundle/units.ts';
import { bundleOf, domainPolicy, list, rcpt } from '../policy/fixture.ts';
import { judgeRcpt } from '../policy/judge.ts';
import { policyFiles } from '../test/wire/policy-files.ts';
import { PolicyReader, readBundle } from './bundle-load.ts';
import { PolicyDirectory } from './policy-directory.ts';

/** `10.x.y.1`, all different. */
const addresses = (count: number, x: number) =>
  Array.from({ length: count }, (_, i) => `10.${x + (i >>> 8)}.${i & 255}.1`).sort();

const access = { allow: ['partners'], block: ['spammers'] };
const bundle = (partners: RangeList, spammers: RangeList) =>
  bundleOf([domainPolicy('example.com', { access })], [partners, spammers]);
const partners = list('partners', addresses(6_000, 0));
const spammers = list('spammers', addresses(6_000, 100));
const edited = list('spammers', [...spammers.ranges, '203.0.113.7'].sort());

describe('a policy directory read again and again', () => {
  let directory: string;
  let reader: PolicyReader;
  const write = async (files: ReadonlyMap<string, Uint8Array>) => {
    for (const name of await readdir(directory)) await rm(join(directory, name));
    for (const [name, bytes] of files) await writeFile(join(directory, name), bytes);
  };
  const first = async () => {
    await write(policyFiles(bundle(partners, spammers)));
    const read = await reader.read(undefined);
    if (read === undefined) throw new Error('nothing was read');
    return read;
  };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'postern-reader-'));
    reader = new PolicyReader(directory);
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await rm(directory, { recursive: true });
  });

  test('A2: after an edit of one entry only shards with pieces of that list are inflated', async () => {
    const before = await first();
    await write(policyFiles(bundle(partners, edited)));
    const opened = vi.spyOn(PolicyDirectory.prototype, 'read');
    const after = await reader.read(before);
    const pieces = publicUnits(bundle(partners, edited)).filter(({ key }) =>
      key.startsWith('list/spammers/'),
    );
    expect(pieces.length).toBeGreaterThan(1);
    const inflated = opened.mock.calls.filter(([file]) => !file.startsWith('secret-'));
    expect(inflated.length).toBeLessThanOrEqual(pieces.length);
    expect(after?.policy.lists.get('partners')).toBe(before.policy.lists.get('partners'));
    expect(after?.policy.lists.get('spammers')).not.toBe(before.policy.lists.get('spammers'));
    const verdictOf = (read: typeof after) =>
      read && judgeRcpt(read.policy, rcpt({ peer: '203.0.113.7' })).verdict;
    expect([verdictOf(before), verdictOf(after)]).toEqual(['accept', 'reject']);
  });

  test('a list of which only the object changed keeps its entries and says so', async () => {
    const before = await first();
    const renewed = { ...partners, source: { ...partners.source, generation: 9 } };
    await write(policyFiles(bundle(renewed, spammers)));
    const after = await reader.read(before);
    expect(after?.policy.lists.get('partners')?.index).toBe(before.policy.lists.get('partners')?.index);
    expect(after?.policy.lists.get('partners')?.source.generation).toBe(9);
  });

  test('a list that is gone and comes back is read anew', async () => {
    const before = await first();
    await write(policyFiles(bundleOf([domainPolicy('example.com')], [spammers])));
    const without = await reader.read(before);
    expect([...(without?.policy.lists.keys() ?? [])]).toEqual(['spammers']);
    await write(policyFiles(bundle(partners, spammers)));
    const after = await reader.read(without);
    expect(after?.policy.lists.get('partners')).toEqual(before.policy.lists.get('partners'));
  });

  test('nothing new is nothing', async () => {
    expect(await reader.read(await first())).toBeUndefined();
  });

  test.each([
    ['is missing', undefined, /is not there$/],
    ['holds something else', gzipSync('{}'), /does not match the hash in the index$/],
    ['is cut off', 'half', /no complete gzip file$/],
  ])('X9: a shard that %s is refused though nothing in it has changed', async (_what, spoiled, message) => {
    const before = await first();
    const files = policyFiles(bundle(partners, edited));
    const old = policyFiles(bundle(partners, spammers));
    const file = [...files.keys()].find((name) => /^\d/.test(name) && old.has(name));
    if (file === undefined) throw new Error('no shard is unchanged');
    const bytes = spoiled === 'half' ? files.get(file)?.subarray(0, 40) : spoiled;
    if (bytes instanceof Uint8Array) files.set(file, bytes);
    else files.delete(file);
    await write(files);
    await expect(reader.read(before)).rejects.toThrow(message);
    await expect(reader.read(before)).rejects.toThrow(new RegExp(`^${file}: `));
  });

  test('equal content that was compressed otherwise is taken', async () => {
    const before = await first();
    const files = policyFiles(bundle(partners, edited));
    for (const [name, bytes] of files) {
      if (/^\d/.test(name)) files.set(name, gzipSync(gunzipSync(bytes), { level: 1 }));
    }
    await write(files);
    expect((await reader.read(before))?.policy.lists.get('spammers')?.index.v4.count).toBe(6_001);
  });

  test('the command line reads the same files with all texts', async () => {
    const whole = bundle(partners, spammers);
    await write(policyFiles(whole));
    expect(await readBundle(directory)).toEqual(whole);
  });
});
