import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { secretIndexFile } from '../../bundle/shard-index.ts';
import { bundleOf, domainPolicy, list, recipients } from '../../policy/fixture.ts';
import { recordFaults } from '../faults/record.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { policyFiles, sha256 } from './policy-files.ts';

/** The good bundle blocks us; a wrongly applied new one would let us in. */
const good = bundleOf(
  [domainPolicy('example.com', { access: { allow: [], block: ['here'] } })],
  [list('here', ['127.0.0.1'])],
);
const next = bundleOf([domainPolicy('example.com', { recipients: recipients(['info', 'new']) })]);

type Files = Map<string, Uint8Array>;
const json = (files: Files, name: string) => JSON.parse(Buffer.from(files.get(name) ?? '').toString());
const put = (files: Files, name: string, value: unknown) =>
  files.set(name, Buffer.from(JSON.stringify(value)));
const hiddenIndex = (files: Files): string => secretIndexFile(json(files, 'index.json').secretsRevision);
const firstShard = (files: Files): string => json(files, 'index.json').shards[0].file;

async function verdict(mta: MtaProcess): Promise<string> {
  const session = await mta.session();
  const [, reply = ''] = await session.mail({ to: ['user@example.com'] });
  await session.send('QUIT');
  return reply.slice(0, 9);
}

describe('X9: a policy on disk that cannot be used', () => {
  // One each.
  afterEach(() => recordFaults(1));
  let mta: MtaProcess;
  beforeAll(async () => {
    mta = await startMta({ bundle: good });
  });
  afterAll(() => mta[Symbol.asyncDispose]());
  beforeEach(() => mta.loadPolicy(good));

  const cases: [what: string, spoil: (files: Files) => void, problem: RegExp][] = [
    ['a shard that is not there yet', (files) => files.delete(firstShard(files)), /is not there/],
    [
      'a shard with other content than the index says',
      (files) => files.set(firstShard(files), gzipSync('{}')),
      /does not match the hash/,
    ],
    [
      'half a shard',
      (files) =>
        files.set(firstShard(files), (files.get(firstShard(files)) ?? new Uint8Array()).slice(0, 40)),
      /no complete gzip/,
    ],
    [
      'a shard that is no gzip',
      (files) => files.set(firstShard(files), Buffer.from('plain text')),
      /no complete gzip/,
    ],
    [
      'a shard that grows without end',
      (files) => files.set(firstShard(files), gzipSync(Buffer.alloc(64 * 1024 * 1024))),
      /grows beyond/,
    ],
    [
      'a shard larger than a ConfigMap',
      (files) => files.set(firstShard(files), Buffer.alloc(2 * 1024 * 1024)),
      /more than/,
    ],
    [
      'an index of a version to come',
      (files) => put(files, 'index.json', { ...json(files, 'index.json'), version: 2 }),
      /index\.json: version/,
    ],
    [
      'half an index',
      (files) => files.set('index.json', (files.get('index.json') ?? new Uint8Array()).slice(0, 100)),
      /index\.json: is not JSON/,
    ],
    [
      'an index whose hash is not its own',
      (files) => put(files, 'index.json', { ...json(files, 'index.json'), domains: {} }),
      /bundleHash does not match/,
    ],
    ['no index', (files) => files.delete('index.json'), /index\.json: is not there/],
    [
      'no secret index',
      (files) => files.delete(hiddenIndex(files)),
      /secret-index-[0-9a-f]{12}\.json: is not there/,
    ],
    [
      'secrets of another revision',
      (files) =>
        put(files, hiddenIndex(files), { ...json(files, hiddenIndex(files)), revision: sha256('other') }),
      /another revision/,
    ],
    ['nothing at all', (files) => files.clear(), /index\.json: is not there/],
  ];
  test.each(cases)('%s: the last good one stays, and /state says why', async (_what, spoil, problem) => {
    const { bundleHash } = await mta.state();
    const files = policyFiles(next);
    spoil(files);
    await mta.writePolicy(files);
    await eventually(
      async () => problem.test((await mta.state()).loadError?.message ?? ''),
      `loadError ${problem}`,
    );
    expect(await mta.state()).toMatchObject({ bundleHash, ready: true });
    expect(await verdict(mta)).toBe('550 5.7.1');
    await mta.writePolicy(policyFiles(next));
    await eventually(async () => (await mta.state()).loadError === null, 'the mended policy is loaded');
    expect(await verdict(mta)).toBe('550 5.1.1');
  });

  test('the directory taken away and brought back', async () => {
    await rm(join(mta.directory, 'policy'), { recursive: true });
    const session = await mta.session();
    expect((await session.mail({ to: ['user@example.com'] }))[1]).toMatch(/^550 5\.7\.1 /);
    await mta.writePolicy(policyFiles(next));
    await eventually(
      async () => (await mta.state()).loadError === null && (await verdict(mta)) === '550 5.1.1',
      'loaded again',
      45_000,
    );
  }, 90_000);
});

test('G14: without a policy every connection is told 421 4.3.2, and the first complete one is served', async () => {
  await using mta = await startMta();
  const session = await mta.connect();
  expect(await session.reply()).toMatch(/^421 4\.3\.2 /);
  await session.untilClosed();
  expect(await mta.state()).toMatchObject({ bundleHash: null, ready: false, readyReason: 'NoBundle' });
  expect((await mta.get('/readyz')).status).toBe(503);
  expect((await mta.get('/healthz')).status).toBe(200);
  await mta.loadPolicy(next);
  expect((await mta.get('/readyz')).status).toBe(200);
  expect(await verdict(mta)).toBe('550 5.1.1');
});

test('G13: an MTA without any domain tells everybody to come again, and one that has a domain refuses all others', async () => {
  await using mta = await startMta({ bundle: bundleOf([]) });
  const answer = async (to: string) => {
    const session = await mta.session();
    const [, reply = ''] = await session.mail({ to: [to] });
    await session.close();
    return reply;
  };
  expect(await answer('user@example.com')).toMatch(/^451 4\.3\.5 no domain is served here yet/);
  await mta.loadPolicy(next);
  expect(await answer('user@elsewhere.example')).toMatch(/^550 5\.7\.1 relaying denied/);
  expect(await answer('info@example.com')).toMatch(/^250/);
  await mta.loadPolicy(bundleOf([]));
  expect(await answer('info@example.com')).toMatch(/^451 4\.3\.5/);
});

test('G7: no connection fails and no verdict is a mixture while the policy changes under load', async () => {
  await using mta = await startMta({ bundle: good });
  const versions = [policyFiles(good), policyFiles(next)];
  let running = true;
  const seen = new Set<string>();
  const clients = Array.from({ length: 4 }, async () => {
    while (running) seen.add(await verdict(mta));
  });
  for (let change = 0; change < 30; change += 1) await mta.writePolicy(versions[change % 2] ?? new Map());
  await mta.loadPolicy(next);
  running = false;
  await Promise.all(clients);
  expect([...seen].toSorted()).toEqual(['550 5.1.1', '550 5.7.1']);
  expect((await mta.state()).loadError).toBeNull();
});
