// X22: the CRDs get a version v1 in which objects are stored from then on, and it is taken back again.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { kinds } from '../../operator/api/index.ts';
import { cases } from '../api/cases.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { type Api, type KubeObject, kubeObject, paths } from '../kubernetes/api.ts';
import { crdFolder, tenant, waitFor } from '../kubernetes/namespace.ts';
import { startOperatorIn } from '../kubernetes/operator.ts';
import { startFaultProxy } from './proxy.ts';
import { recordFaults } from './record.ts';
import { isStateWrite, World, worldOptions } from './world.ts';

const version = z.looseObject({ name: z.string(), storage: z.boolean() });
const definition = z.looseObject({
  metadata: z.looseObject({ name: z.string() }),
  spec: z.looseObject({ versions: z.tuple([version]) }),
});
type Definition = z.infer<typeof definition>;

const definitions = globSync('*.yaml', { cwd: crdFolder })
  .sort()
  .map((file) => definition.parse(parse(readFileSync(join(crdFolder, file), 'utf8'))));
const pathOf = ({ metadata: { name } }: Definition) =>
  `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`;

/** Both versions served; objects are stored in the second or, for the way back, in the first. */
function withV1(storage: 'v1' | 'v1alpha1') {
  return definitions.map((crd) => {
    const [alpha] = crd.spec.versions;
    const versions = ['v1alpha1', 'v1'].map((name) => ({ ...alpha, name, storage: name === storage }));
    return { ...crd, spec: { ...crd.spec, versions } };
  });
}

const cluster = useControlPlane({ identities: [tenant] });
let world: World;
let api: Api;
/** Nobody serves it: objects of every shape that the API takes. */
let shelf: string;

beforeAll(async () => {
  world = await World.make(cluster, 'crds');
  api = world.space.admin;
  shelf = await cluster.freshNamespace('shelf');
  const accepted = cases.filter(({ refused }) => refused === undefined);
  for (const [number, { manifest }] of accepted.entries()) {
    const plural = pluralOf(manifest.kind);
    const metadata = { ...manifest.metadata, name: `case-${number}` };
    await api.create(paths.postern(shelf, plural), { ...manifest, metadata });
  }
}, 120_000);
afterAll(() => world?.stop());

const pluralOf = (kind: string) => kinds.find((one) => one.kind === kind)?.plural ?? '';

async function apply(crds: readonly unknown[]): Promise<number | null> {
  const text = crds.map((crd) => JSON.stringify(crd)).join('\n---\n');
  const args = ['apply', '--server-side', '--force-conflicts', '-f', '-'];
  return (await cluster.current.kubectl('admin', args, text)).code;
}

const items = z.object({ items: z.array(kubeObject) });

/** All objects of both namespaces, as a version shows them. The server starts the storage of a kind anew when its versions change. */
async function objects(of: 'v1' | 'v1alpha1'): Promise<KubeObject[]> {
  const collections = [shelf, world.space.name].flatMap((namespace) =>
    kinds.map(({ plural }) => paths.postern(namespace, plural).replace('/v1alpha1/', `/${of}/`)),
  );
  const answers = await waitFor(
    `all objects in ${of}`,
    () => Promise.all(collections.map((path) => api.request('GET', path))),
    (all) => all.every(({ status }) => status === 200),
  );
  return answers.flatMap(({ body }) => items.parse(body).items);
}

/** Without what tells the version, and what a rewrite in another version counts up. */
const comparable = (found: readonly KubeObject[]) =>
  found.map(
    ({ apiVersion: _, metadata: { resourceVersion: __, managedFields: ___, ...metadata }, ...rest }) => ({
      ...rest,
      metadata,
    }),
  );

/** Rewrites everything in the version of storage, as a storage migration does, and strikes the other version off the list. */
async function migrate(to: 'v1' | 'v1alpha1'): Promise<number> {
  const found = await objects(to);
  for (const object of found) {
    const { namespace, name } = object.metadata;
    const path = paths.postern(namespace, pluralOf(String(object['kind'])), name);
    // No change at all: the server writes it because it is stored in another version.
    const answer = await api.request('PUT', path.replace('/v1alpha1/', `/${to}/`), object);
    expect(answer.status).toBe(200);
  }
  for (const crd of definitions) {
    await api.mergePatch(`${pathOf(crd)}/status`, { status: { storedVersions: [to] } });
  }
  return found.length;
}

/** Waits until the API server has the versions as they were applied: it starts the storage of each kind anew. */
async function waitForVersions(v1: 200 | 404): Promise<void> {
  const ask = (of: string) =>
    kinds.map(async ({ plural }) => {
      const path = paths.postern(shelf, plural).replace('/v1alpha1/', `/${of}/`);
      return (await api.request('GET', path)).status;
    });
  await waitFor(
    `v1alpha1 to be answered 200 and v1 ${v1}`,
    () => Promise.all([...ask('v1alpha1'), ...ask('v1')]),
    (answers) => answers.every((status, at) => status === (at < kinds.length ? 200 : v1)),
  );
}

test('X22: upgraded to v1, migrated, and rolled back: no field of any object changes, the operator notices nothing', {
  timeout: 180_000,
}, async () => {
  await world.rewind();
  await world.toAfter();
  const proxy = await startFaultProxy(cluster.current);
  const operator = await startOperatorIn(world.space, { ...worldOptions, resyncMs: 5_000 }, proxy.url);
  try {
    await world.holds('before the upgrade', operator);
    const key = await world.key();
    const original = comparable(await objects('v1alpha1'));
    expect(original.length).toBeGreaterThan(100);
    proxy.requests.length = 0;

    expect(await apply(withV1('v1'))).toBe(0);
    await waitForVersions(200);
    expect(comparable(await objects('v1'))).toEqual(original);
    let rewritten = await migrate('v1');
    expect(comparable(await objects('v1alpha1'))).toEqual(original);

    // Nobody can take away a version that objects are stored in.
    expect(await apply(definitions)).not.toBe(0);
    expect(comparable(await objects('v1alpha1'))).toEqual(original);

    expect(await apply(withV1('v1alpha1'))).toBe(0);
    await waitForVersions(200);
    rewritten += await migrate('v1alpha1');
    expect(await apply(definitions)).toBe(0);
    await waitForVersions(404);
    expect(comparable(await objects('v1alpha1'))).toEqual(original);
    await world.holds('after the way back', operator, key);
    expect(proxy.requests.filter(isStateWrite)).toEqual([]);
    recordFaults(rewritten);
  } finally {
    await operator.stop();
    await proxy.stop();
  }
});
