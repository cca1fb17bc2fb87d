// How rendered files reach the API server, write by write: whenever the operator ends, a pod that starts finds a whole set.
import { createHash, randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { secretIndexFile } from '../../bundle/shard-index.ts';
import { type DeliveryResult, deliverObjects } from '../../operator/platform/kubernetes/delivery.ts';
import { ObjectCache } from '../../operator/platform/kubernetes/object-cache.ts';
import type { Owner, StoredObject } from '../../operator/platform/kubernetes/object-plan.ts';
import { isNotFound } from '../../operator/platform/kubernetes/runtime/api-error.ts';
import {
  type ApiClient,
  createApiClient,
  loadKubeConfig,
} from '../../operator/platform/kubernetes/runtime/client.ts';
import { parseRawObject, summarize } from '../../operator/platform/kubernetes/stored-object.ts';
import type { RenderedMta } from '../../operator/platform/platform.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { type FaultProxy, nthWrite, startFaultProxy } from '../faults/proxy.ts';
import { recordFaults } from '../faults/record.ts';
import { type KubeObject, paths } from './api.ts';
import { TestNamespace, tenant } from './namespace.ts';

const cluster = useControlPlane({ identities: [tenant] });
let space: TestNamespace;
let proxy: FaultProxy;
let client: ApiClient;
let owner: Owner;

beforeAll(async () => {
  proxy = await startFaultProxy(cluster.current);
});
afterAll(async () => {
  await proxy?.stop();
});
beforeEach(async () => {
  space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('delivery'));
  client = createApiClient(loadKubeConfig(await space.operatorKubeconfig(proxy.url)));
  owner = { mta: 'default', name: 'mail', uid: '0b9ff5f4-8a5e-4d51-9a9e-6a1f8bb0e001' };
});
afterEach(() => {
  client.close();
  space.admin.close();
});

const sha256 = (text: string | Uint8Array) => createHash('sha256').update(text).digest('hex');

/** Rendered files of one version of a policy. @param contents of shards, by number */
function rendered(contents: Record<number, string>, secrets: Record<number, string> = {}): RenderedMta {
  const shards = Object.entries(contents).map(([number, text]) => ({
    file: `${number.padStart(2, '0')}-${sha256(text).slice(0, 12)}.json.gz`,
    sha256: sha256(text),
    text,
  }));
  const secretShards = Object.entries(secrets).map(([number, text]) => ({
    file: `secret-${number.padStart(2, '0')}-${sha256(text).slice(0, 12)}.json.gz`,
    sha256: sha256(text),
    text,
  }));
  const named = (files: typeof shards) => files.map(({ file, sha256: digest }) => ({ file, sha256: digest }));
  const revision = sha256(JSON.stringify(secrets));
  const bundleHash = sha256(JSON.stringify([contents, revision]));
  const index = {
    version: 1,
    namespace: space.name,
    mta: 'default',
    bundleHash,
    secretsRevision: revision,
    shards: named(shards),
    domains: {},
    routes: {},
    lists: {},
  };
  const secretIndex = { version: 1, revision, shards: named(secretShards) };
  const pack = (files: typeof shards) => files.map(({ file, text }) => [file, gzipSync(text)] as const);
  return {
    mta: 'default',
    bundleHash,
    coldHash: 'c',
    publicFiles: new Map<string, Uint8Array>([
      ...pack(shards),
      ['index.json', Buffer.from(JSON.stringify(index))],
    ]),
    secretFiles: new Map<string, Uint8Array>([
      ...pack(secretShards),
      [secretIndexFile(revision), Buffer.from(JSON.stringify(secretIndex))],
    ]),
    coldFiles: new Map([['smtp.ini', '[main]\n']]),
  };
}

/** @param cacheOf makes the caches of what is there */
function deliver(mta: RenderedMta, allLoaded: boolean, cacheOf = uncached): Promise<DeliveryResult> {
  return deliverObjects(
    { client, namespace: space.name, configMaps: cacheOf('ConfigMap'), secrets: cacheOf('Secret') },
    mta,
    owner,
    allLoaded,
    AbortSignal.timeout(30_000),
  );
}

/** A cache that asks each time: these tests are about what is written. */
function uncached(kind: 'ConfigMap' | 'Secret'): ObjectCache<StoredObject> {
  const read = async (name: string) => {
    try {
      const path = paths.core(space.name, kind === 'ConfigMap' ? 'configmaps' : 'secrets', name);
      const raw = parseRawObject(await client.request('GET', path));
      return { resourceVersion: raw.metadata.resourceVersion, value: summarize(kind, raw) };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  };
  return new ObjectCache({ version: () => 'unknown', read });
}

/** A cache of an informer that has seen nothing yet. */
function blind(): ObjectCache<StoredObject> {
  return new ObjectCache({ version: () => undefined, read: async () => undefined });
}

async function renderedObjectsNow(): Promise<KubeObject[]> {
  const lists = await Promise.all(
    ['configmaps', 'secrets'].map((resource) => space.admin.list(paths.core(space.name, resource))),
  );
  return lists.flat().filter(({ metadata }) => metadata.name.startsWith('postern-default-'));
}

/** Names, files and contents, without what differs in every run. */
async function picture(): Promise<unknown> {
  return (await renderedObjectsNow()).map(({ metadata, data, binaryData }) => ({
    name: metadata.name,
    labels: metadata.labels,
    data,
    binaryData,
  }));
}

/** The bundle that a pod which starts now would load; undefined: it finds no whole set. */
async function loadable(): Promise<string | undefined> {
  const files = new Map(
    (await renderedObjectsNow()).flatMap(({ data, binaryData }) =>
      Object.entries({ ...data, ...binaryData }),
    ),
  );
  const index = files.get('index.json');
  if (index === undefined) return undefined;
  const { bundleHash, secretsRevision, shards } = JSON.parse(index);
  const hidden = files.get(secretIndexFile(secretsRevision));
  if (hidden === undefined) return undefined;
  const secretIndex = JSON.parse(Buffer.from(hidden, 'base64').toString());
  const named = [...shards, ...secretIndex.shards];
  const isWhole =
    secretIndex.revision === secretsRevision && named.every(({ file }: { file: string }) => files.has(file));
  return isWhole ? bundleHash : undefined;
}

test.each([true, false])(
  'X5, OP1: ended before any of its writes, it leaves a whole set, and comes to the same end (pods: %s)',
  async (hasPods) => {
    const first = rendered({ 1: 'one', 2: 'two', 3: 'three' }, { 0: 'key' });
    const second = rendered({ 1: 'ONE', 2: 'two', 4: 'FOUR' }, { 0: 'KEY' });
    await deliver(first, false);
    await deliver(second, false);
    await deliver(second, true);
    const faultless = await picture();

    let writes = 0;
    for (let n = 1; ; n += 1) {
      for (const { metadata } of await renderedObjectsNow()) {
        for (const resource of ['configmaps', 'secrets'])
          await space.admin.remove(paths.core(space.name, resource, metadata.name));
      }
      await deliver(first, false);
      proxy.requests.length = 0;
      const undo = proxy.inject({ ...nthWrite(n), fault: { do: 'cut', when: 'before' } });
      const killed = await Promise.all([deliver(second, !hasPods).then(() => deliver(second, true))]).then(
        () => false,
        () => true,
      );
      undo();
      expect([first.bundleHash, second.bundleHash]).toContain(await loadable());
      await deliver(second, false);
      expect(await loadable()).toBe(second.bundleHash);
      await deliver(second, true);
      expect(await picture()).toEqual(faultless);
      if (!killed) break;
      writes = n;
    }
    // Two shards and a secret one that are new, both indexes; then the four of these but the public index are pruned or removed.
    expect(writes).toBe(9);
    recordFaults(writes);
  },
);

test('an old file stays until every pod has loaded the new bundle', async () => {
  const filesOf = async (name: string) =>
    Object.keys((await space.admin.get(paths.core(space.name, 'configmaps', name)))?.binaryData ?? {}).length;
  const versions = ['a', 'b', 'c'].map((text) => rendered({ 5: text }));
  for (const version of versions) await deliver(version, false);
  // At most two generations, or an object would outgrow its 1 MiB.
  expect(await filesOf('postern-default-05')).toBe(2);
  const [, , last] = versions;
  if (last === undefined) throw new Error('no version');
  expect(await deliver(last, true)).toEqual({ wroteHot: false, refused: [], restored: [] });
  expect(await filesOf('postern-default-05')).toBe(1);
});

test('what is equal is not written again', async () => {
  const mta = rendered({ 1: 'one' }, { 0: 'key' });
  await deliver(mta, true);
  proxy.requests.length = 0;
  expect(await deliver(mta, true)).toEqual({ wroteHot: false, refused: [], restored: [] });
  expect(proxy.requests.filter(({ kind }) => kind === 'write')).toEqual([]);
});

test('OP6: an object of our name that is not ours is not touched, and no index names what could not be written', async () => {
  const mta = rendered({ 1: 'one', 2: 'two' });
  const foreign = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'postern-default-01' },
    data: { mine: 'x' },
  };
  const created = await space.admin.create(paths.core(space.name, 'configmaps'), foreign);
  const { refused } = await deliver(mta, false);
  expect(refused).toEqual([expect.stringContaining('ConfigMap postern-default-01 exists')]);
  const after = await space.admin.get(paths.core(space.name, 'configmaps', 'postern-default-01'));
  expect(after?.metadata.resourceVersion).toBe(created.metadata.resourceVersion);
  expect(await loadable()).toBeUndefined();
});

test('X20: two generations of a full shard fit into one object; more is refused by name, and the old set stays', async () => {
  const noise = () => randomBytes(380_000).toString('base64');
  const full = [rendered({ 1: noise() }), rendered({ 1: noise() })];
  for (const version of full) await deliver(version, false);
  expect(await loadable()).toBe(full[1]?.bundleHash);
  await expect(deliver(rendered({ 1: randomBytes(1_100_000).toString('base64') }), false)).rejects.toThrow(
    /postern-default-01/,
  );
  expect(await loadable()).toBe(full[1]?.bundleHash);
  recordFaults(1);
});

test('what is not there is created without a question, and what is there all the same is read and left as it is', async () => {
  const mta = rendered({ 1: 'one', 2: 'two' }, { 3: 'secret' });
  const reads = () => proxy.requests.filter(({ kind }) => kind === 'get').length;
  proxy.requests.length = 0;
  expect(await deliver(mta, true, blind)).toEqual({ wroteHot: true, refused: [], restored: [] });
  expect(reads()).toBe(0);
  const before = await renderedObjectsNow();
  expect(await deliver(mta, true, blind)).toEqual({ wroteHot: false, refused: [], restored: [] });
  expect(reads()).toBe(before.length);
  expect(await renderedObjectsNow()).toEqual(before);
});

test('an object of a stranger that the operator has not seen yet is not written over', async () => {
  const name = 'postern-default-01';
  const path = paths.core(space.name, 'configmaps');
  await space.admin.create(path, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name },
    data: { a: 'b' },
  });
  const { refused } = await deliver(rendered({ 1: 'one' }), true, blind);
  expect(refused).toEqual([expect.stringContaining(`ConfigMap ${name} exists`)]);
  expect(await space.admin.get(`${path}/${name}`)).toMatchObject({ data: { a: 'b' } });
});
