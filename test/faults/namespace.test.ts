// X24: a namespace is deleted while the operator runs, and made again under its name.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { kinds } from '../../operator/api/index.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { paths } from '../kubernetes/api.ts';
import { Kubelet } from '../kubernetes/kubelet.ts';
import { crdFolder, TestNamespace, tenant, waitFor } from '../kubernetes/namespace.ts';
import { type OperatorProcess, startOperatorProcess } from '../kubernetes/operator.ts';
import { grantWholeCluster, letOperatorIn, revokeWholeCluster } from '../kubernetes/whole-cluster.ts';
import { blockList, dkimKey, mailDomain } from './fixtures.ts';
import { deleteNamespace } from './namespace-controller.ts';
import { type FaultProxy, startFaultProxy } from './proxy.ts';
import { recordFaults } from './record.ts';

const cluster = useControlPlane({ identities: [tenant] });
/** The operator's own; a tenant lives there, too, and is not to notice anything. */
let system: TestNamespace;
let kubelets: Kubelet[];
let proxy: FaultProxy;
let operator: OperatorProcess | undefined;

const warn = 40;
const error = 50;
const isOf = (name: string) => (text: string) => text.includes(`/namespaces/${name}/`);
const requestsFor = (name: string) => proxy.requests.filter(({ path }) => isOf(name)(path));
const linesOf = (name: string, level: number) =>
  (operator?.lines ?? []).filter((line) => line.level >= level && line.msg.includes(name));

beforeAll(async () => {
  await cluster.current.installCrds(crdFolder);
  system = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('system'));
  await Kubelet.start(system.admin, system.name, 'default', 0);
});
beforeEach(async () => {
  kubelets = [];
  operator = undefined;
  proxy = await startFaultProxy(cluster.current);
});
afterEach(async () => {
  await operator?.stop();
  await Promise.all(kubelets.map((kubelet) => kubelet.stop()));
  await proxy.stop();
});
afterAll(() => system?.admin.close());

const route = {
  apiVersion: 'postern.dev/v1alpha1',
  kind: 'Route',
  metadata: { name: 'store' },
  spec: { host: 'store.example.net', port: 24, protocol: 'LMTP', tls: { mode: 'Required' } },
};

/** A namespace with an MTA, with a Route and a DkimKey that have finalizers, served. */
async function serve(name: string): Promise<TestNamespace> {
  const space = await TestNamespace.prepare(cluster.current, name);
  await letOperatorIn(space, system);
  kubelets.push(await Kubelet.start(space.admin, name, 'default', 0));
  const key = { ...dkimKey('key', 'a'), spec: { ...keySpec, secretRetention: 'Delete' } };
  await space.apply(route, mailDomain('a', 'a.example', { mailbox: { routeRef: { name: 'store' } } }), key);
  await space.waitForCondition('dkimkeys', 'key', 'KeyGenerated', /^True/);
  for (const [plural, object] of [['routes', 'store'] as const, ['dkimkeys', 'key'] as const]) {
    await waitFor(
      `the finalizer of ${plural}/${object}`,
      async () => (await space.admin.get(paths.postern(name, plural, object)))?.metadata.finalizers ?? [],
      (finalizers) => finalizers.length === 1,
    );
  }
  return space;
}

const keySpec = { domainRef: { name: 'a' }, verification: { mode: 'OnRequest' } };

/** The operator has followed something that changed just now, elsewhere. */
async function seeChange(address: string): Promise<void> {
  await system.apply(blockList('block', [address]));
  const list = await system.admin.get(paths.postern(system.name, 'ipaccesslists', 'block'));
  await waitFor(
    'the change elsewhere to be seen',
    async () => (await system.admin.get(paths.postern(system.name, 'ipaccesslists', 'block')))?.status,
    (status) => status?.['observedGeneration'] === list?.metadata.generation,
  );
}

test('X24: a namespace that is deleted is forgotten: no error, no watch, no request; made again, it is served again', async () => {
  const name = await cluster.freshNamespace('leaving');
  await grantWholeCluster(system);
  operator = await startOperatorProcess(system, ['--namespaces', 'all'], proxy.url);
  const space = await serve(name);
  expect(proxy.watches.filter(({ request }) => isOf(name)(request.path))).toHaveLength(5);

  await deleteNamespace(space);
  await waitFor(
    'the namespace to be forgotten',
    () => proxy.watches.map(({ request }) => request.path).filter(isOf(name)),
    (watched) => watched.length === 0,
  );
  expect(linesOf(name, error)).toEqual([]);
  proxy.requests.length = 0;
  // Whoever followed it would come back for it now, as for all that is still followed.
  proxy.cutConnections();
  await seeChange('192.0.2.1');
  await waitFor(
    'all kinds to be followed again',
    () => proxy.watches.map(({ request }) => request.plural),
    (plurals) => kinds.every(({ plural }) => plurals.includes(plural)),
  );
  expect(requestsFor(name)).toEqual([]);

  await cluster.current.createNamespace(name);
  await serve(name);
  await revokeWholeCluster(system);
  space.admin.close();
  recordFaults(1);
});

test('X24: a namespace that was named is asked for at growing intervals while it is not there, and served when it is', async () => {
  const name = await cluster.freshNamespace('named');
  operator = await startOperatorProcess(system, ['--namespaces', `${system.name},${name}`], proxy.url);
  const space = await serve(name);
  // In this order, as docs/install.md says: the operator's rights go with the namespace.
  await space.kubectl(['delete', 'maildomain,dkimkey,routes.postern.dev', '--all']);
  await deleteNamespace(space);
  proxy.requests.length = 0;
  proxy.cutConnections();
  const asked = () => {
    const watches = requestsFor(name).filter(({ kind }) => kind === 'watch');
    return Map.groupBy(watches, ({ path }) => path.replace(/\?.*/, ''));
  };
  await waitFor(
    'each of eleven collections to be asked for in vain, again and again',
    asked,
    (collections) => collections.size === 11 && [...collections.values()].every(({ length }) => length >= 3),
  );
  expect(linesOf(name, error)).toEqual([]);
  // Once for each collection, not once for each attempt.
  const told = await waitFor(
    'a warning for each',
    () => linesOf(name, warn).flatMap(({ msg }) => (/^watch .* is forbidden/.test(msg) ? [msg] : [])),
    (lines) => new Set(lines).size === 11,
  );
  expect(told).toHaveLength(11);

  await cluster.current.createNamespace(name);
  await serve(name);
  space.admin.close();
  recordFaults(1);
});
