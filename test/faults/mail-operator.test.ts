import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadKubeConfig } from '../../operator/platform/kubernetes/runtime/client.ts';
import { systemClock } from '../../operator/platform/kubernetes/runtime/clock.ts';
import type { Informer } from '../../operator/platform/kubernetes/runtime/informer.ts';
import { MailOperator } from '../../operator/platform/kubernetes/runtime/mail-operator.ts';
import { isResource, type Resource } from '../../operator/platform/kubernetes/runtime/resource.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { type FaultProxy, startFaultProxy } from './proxy.ts';
import { recordFaults } from './record.ts';

const SOON = { timeout: 15_000, interval: 20 };
const FINALIZER = 'test.postern.dev/guard';
const cluster = useControlPlane();
let proxy: FaultProxy;
let operator: MailOperator;
let cache: Informer<Resource>;
let namespace: string;
let log: string[];
let reconciled: string[];
let leads: boolean;
/** What the test makes of a reconcile, after it was noted. */
let reconcile: (key: string) => Promise<void>;

beforeEach(async () => {
  namespace = await cluster.freshNamespace();
  proxy = await startFaultProxy(cluster.current);
  log = [];
  reconciled = [];
  leads = true;
  reconcile = async () => undefined;
  const note = (level: string) => (message: string) => void log.push(`${level}: ${message}`);
  operator = new MailOperator({
    kubeConfig: loadKubeConfig(await cluster.current.kubeconfigFor('admin', proxy.url)),
    clock: systemClock,
    log: { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') },
    fieldManager: 'postern',
    workers: 2,
    reconcileTimeoutMs: 10_000,
    idleMs: 1_000,
    mayWrite: () => leads,
    async init(self) {
      const transform = (object: Resource) => object;
      cache = await self.watch(
        '',
        'v1',
        'configmaps',
        ({ metadata }) => metadata.namespace,
        { transform },
        namespace,
      );
    },
    async reconcile(key) {
      reconciled.push(key);
      await reconcile(key);
      return undefined;
    },
  });
});

afterEach(async () => {
  await operator.stop();
  await expect.poll(() => proxy.watches, SOON).toEqual([]);
  await proxy.stop();
});

const kubectl = (...args: string[]) => cluster.current.kubectl('admin', ['-n', namespace, ...args]);
const finalizers = async () =>
  (await kubectl('get', 'cm', 'a', '-o', 'jsonpath={.metadata.finalizers}', '--ignore-not-found')).stdout;

test('it reconciles what is there at the start and what changes, by namespace, until it is stopped', async () => {
  await kubectl('create', 'cm', 'a');
  await operator.start();
  await expect.poll(() => reconciled, SOON).toEqual([namespace]);
  await kubectl('create', 'cm', 'b');
  await expect.poll(() => reconciled.length, SOON).toBe(2);
  await operator.stop();
  await kubectl('create', 'cm', 'c');
  expect(reconciled.length).toBe(2);
  await expect.poll(() => proxy.watches, SOON).toEqual([]);
});

test('of many collections that are to be followed at once eight are listed at a time, and all in the end', async () => {
  await operator.start();
  let under = 0;
  let most = 0;
  const releases: (() => void)[] = [];
  const hold = () =>
    new Promise<void>((resolve) => {
      under += 1;
      most = Math.max(most, under);
      releases.push(() => {
        under -= 1;
        resolve();
      });
    });
  const heal = proxy.inject({
    match: ({ kind }) => kind === 'list',
    fault: { do: 'call', when: 'before', run: hold },
  });
  const wanted = 30;
  let synced = 0;
  const keyOf = () => undefined;
  const transform = ({ metadata }: Resource) => metadata.name;
  const all = Array.from({ length: wanted }, async () => {
    await operator.watch('', 'v1', 'configmaps', keyOf, { transform }, namespace);
    synced += 1;
  });
  await expect.poll(() => releases.length, SOON).toBe(8);
  await expect
    .poll(() => {
      releases.shift()?.();
      return synced;
    }, SOON)
    .toBe(wanted);
  await Promise.all(all);
  expect(most).toBe(8);
  heal();
});

test('X1: a dropped connection does not end the process, and nothing is missed', async () => {
  await operator.start();
  await proxy.setReachable(false);
  await kubectl('create', 'cm', 'a');
  await expect.poll(() => log.length, SOON).toBeGreaterThanOrEqual(1);
  await proxy.setReachable(true);
  await expect.poll(() => reconciled, SOON).toContain(namespace);
  expect(cache.size).toBe(1);
  recordFaults(proxy.injections);
});

test('a watch that has nothing to tell is taken up again, and that is nothing to warn of', async () => {
  await operator.start();
  const watches = () => proxy.requests.filter(({ kind }) => kind === 'watch').length;
  await expect.poll(watches, SOON).toBeGreaterThanOrEqual(2);
  expect(log.filter((line) => line.includes('no byte in 1000 ms'))).not.toEqual([]);
  expect(log.filter((line) => !line.startsWith('debug'))).toEqual([]);
});

test('what goes wrong again and again is told once, and once more when it was well in between', async () => {
  await operator.start();
  const refuse = () => {
    const heal = proxy.inject({ fault: { do: 'refuse', code: 403, reason: 'Forbidden' } });
    proxy.requests.length = 0;
    proxy.cutConnections();
    return heal;
  };
  const warnings = () => log.filter((line) => line.startsWith('warn') && line.includes('injected Forbidden'));
  const told = (level: string) =>
    log.filter((line) => line.startsWith(level) && line.includes('injected Forbidden')).length;
  let heal = refuse();
  await expect.poll(() => told('debug'), SOON).toBeGreaterThanOrEqual(1);
  expect(warnings()).toHaveLength(1);
  heal();
  await kubectl('create', 'cm', 'a');
  await expect.poll(() => cache.size, SOON).toBe(1);
  heal = refuse();
  await expect.poll(() => warnings().length, SOON).toBe(2);
  heal();
});

test('X7: who finds between two writes that it leads no more makes the first and not the second, and may read', async () => {
  await operator.start();
  const { client } = operator;
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  await client.request('POST', path, { body: { metadata: { name: 'a' } } });
  leads = false;
  await expect(client.request('POST', path, { body: { metadata: { name: 'b' } } })).rejects.toThrow(
    `POST ${path}: the Lease is not ours any more`,
  );
  await expect(client.request('DELETE', `${path}/a`)).rejects.toThrow('the Lease is not ours any more');
  await expect.poll(() => cache.size, SOON).toBe(1);
  expect(await client.request('GET', path)).toMatchObject({ items: [{ metadata: { name: 'a' } }] });
  recordFaults(1);
});

test('the finalizer machine adds the finalizer, cleans up on deletion, tries again if that fails, and lets go', async () => {
  const cleanUps: string[] = [];
  reconcile = async () => {
    for (const object of cache.list()) {
      await operator.finalize(object, 'configmaps', FINALIZER, async () => {
        cleanUps.push(object.metadata.name);
        if (cleanUps.length === 1) throw new Error('still in use');
      });
    }
  };
  await operator.start();
  await kubectl('create', 'cm', 'a');
  await expect.poll(finalizers, SOON).toBe(`["${FINALIZER}"]`);
  await kubectl('delete', 'cm', 'a', '--wait=false');
  await expect.poll(async () => (await kubectl('get', 'cm', 'a')).code, SOON).toBe(1);
  expect(cleanUps).toEqual(['a', 'a']);
  expect(log.some((line) => line.includes('still in use'))).toBe(true);
});

test("another controller's finalizer survives a stale cache: the write conflicts and is done again", async () => {
  await kubectl('create', 'cm', 'a');
  const other = '{"metadata":{"finalizers":["test.postern.dev/other"]}}';
  reconcile = async () => {
    const object = cache.get(`${namespace}/a`);
    if (object === undefined) return;
    // Between our look and our write, the first time.
    if (reconciled.length === 1) await kubectl('patch', 'cm', 'a', '--type=merge', '-p', other);
    await operator.setFinalizer(object, 'configmaps', FINALIZER, true);
  };
  await operator.start();
  await expect.poll(finalizers, SOON).toBe(`["test.postern.dev/other","${FINALIZER}"]`);
  expect(log.some((line) => line.includes('the object has been modified'))).toBe(true);
  reconcile = async () => undefined;
  await expect.poll(() => cache.get(`${namespace}/a`)?.metadata.finalizers?.length, SOON).toBe(2);
  const object = cache.get(`${namespace}/a`);
  if (object !== undefined) await operator.setFinalizer(object, 'configmaps', FINALIZER, false);
  expect(await finalizers()).toBe('["test.postern.dev/other"]');
});

const widgets = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.test.postern.dev' },
  spec: {
    group: 'test.postern.dev',
    scope: 'Namespaced',
    names: { plural: 'widgets', singular: 'widget', kind: 'Widget' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
};

test('ST10: a status is applied: fields left out are removed, the same again writes nothing, and nothing is swallowed', async () => {
  const widget = { apiVersion: 'test.postern.dev/v1', kind: 'Widget', metadata: { name: 'w' } };
  await cluster.current.kubectl('admin', ['apply', '-f', '-'], JSON.stringify(widgets));
  await kubectl('wait', '--for=condition=Established', 'crd/widgets.test.postern.dev', '--timeout=30s');
  await operator.start();
  const collection = `/apis/test.postern.dev/v1/namespaces/${namespace}/widgets`;
  await expect
    .poll(() => operator.client.request('POST', collection, { body: widget }).catch(() => undefined), SOON)
    .toBeDefined();
  const stored = await operator.client.request('GET', `${collection}/w`);
  if (!isResource(stored)) throw new Error('no widget');

  const first = await operator.applyStatus(stored, 'widgets', { a: 1, b: 2 });
  const second = await operator.applyStatus(stored, 'widgets', { a: 1 });
  const third = await operator.applyStatus(stored, 'widgets', { a: 1 });
  expect(await operator.client.request('GET', `${collection}/w`)).toHaveProperty('status', { a: 1 });
  expect(second?.resourceVersion).not.toBe(first?.resourceVersion);
  expect(third?.resourceVersion).toBe(second?.resourceVersion);

  await operator.client.request('DELETE', `${collection}/w`);
  await expect(operator.applyStatus(stored, 'widgets', { a: 2 })).rejects.toMatchObject({ code: 404 });
});
