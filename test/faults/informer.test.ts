import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type ApiClient,
  createApiClient,
  loadKubeConfig,
} from '../../operator/platform/kubernetes/runtime/client.ts';
import { type Clock, systemClock } from '../../operator/platform/kubernetes/runtime/clock.ts';
import {
  type Informer,
  type InformerOptions,
  startInformer,
} from '../../operator/platform/kubernetes/runtime/informer.ts';
import { isRecord, type Resource } from '../../operator/platform/kubernetes/runtime/resource.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { type FaultProxy, startFaultProxy } from './proxy.ts';
import { recordFaults } from './record.ts';
import { bookmarkEvent, errorEvent, expiredEvent } from './watch-lines.ts';

const SOON = { timeout: 15_000, interval: 20 };
const cluster = useControlPlane();
let proxy: FaultProxy;
/** Goes to the API server directly: what other people do. */
let direct: ApiClient;
/** Goes through the proxy: ours. */
let client: ApiClient;
let path: string;
const informers: Informer<unknown>[] = [];
/** `added a`, `deleted b`, ... as the listener was told. */
let changes: string[];
let errors: string[];

beforeEach(async () => {
  const namespace = await cluster.freshNamespace();
  path = `/api/v1/namespaces/${namespace}/configmaps`;
  proxy = await startFaultProxy(cluster.current);
  direct = createApiClient(loadKubeConfig(await cluster.current.kubeconfigFor('admin')));
  client = createApiClient(loadKubeConfig(await cluster.current.kubeconfigFor('admin', proxy.url)));
  changes = [];
  errors = [];
});

afterEach(async () => {
  recordFaults(proxy.injections);
  await Promise.all(informers.splice(0).map((informer) => informer.stop()));
  client.close();
  direct.close();
  await proxy.stop();
});

function follow<T>(
  options: Partial<InformerOptions<T>> & Pick<InformerOptions<T>, 'transform'>,
): Informer<T> {
  const informer = startInformer({
    client,
    path,
    clock: systemClock,
    // No jitter upwards: the first wait is 0.4 s.
    random: () => 0,
    onChange: ({ type, entry }) => changes.push(`${type} ${entry.resource.metadata.name}`),
    onError: (error) => errors.push(error.message),
    ...options,
  });
  informers.push(informer);
  return informer;
}

const nameOf = (object: Resource) => object.metadata.name;
const names = (informer: Informer<string>) => informer.list().sort().join(' ');
const lists = () => proxy.requests.filter(({ kind }) => kind === 'list').length;
const watchRequests = () => proxy.requests.filter(({ kind }) => kind === 'watch');
const openWatch = async () => {
  await expect.poll(() => proxy.watches.length, SOON).toBe(1);
  const [watch] = proxy.watches;
  if (watch === undefined) throw new Error('no watch is open');
  return watch;
};

const create = (name: string) =>
  direct.request('POST', path, { body: { metadata: { name }, data: { v: '1' } } });
const remove = (name: string) => direct.request('DELETE', `${path}/${name}`);

/** Follows the namespace with `a` in it, and forgets the requests that took. */
async function followSynced(options: Partial<InformerOptions<string>> = {}): Promise<Informer<string>> {
  await create('a');
  const informer = follow({ transform: nameOf, ...options });
  await informer.synced;
  await openWatch();
  proxy.requests.length = 0;
  changes.length = 0;
  return informer;
}

test('X1: API server unreachable, then back: nothing is lost and nothing is listed again', async () => {
  const informer = await followSynced();
  await proxy.setReachable(false);
  await create('b');
  await remove('a');
  await expect.poll(() => errors.length, SOON).toBeGreaterThanOrEqual(2);
  await proxy.setReachable(true);
  await expect.poll(() => names(informer), SOON).toBe('b');
  expect(changes).toEqual(['added b', 'deleted a']);
  expect(lists()).toBeLessThanOrEqual(5);
  expect(lists()).toBe(0);
});

test('X1: an API server that is not there at the start is waited for', async () => {
  await create('a');
  await proxy.setReachable(false);
  const informer = follow({ transform: nameOf });
  await expect.poll(() => errors.length, SOON).toBeGreaterThanOrEqual(1);
  await proxy.setReachable(true);
  await informer.synced;
  expect(names(informer)).toBe('a');
  expect(lists()).toBe(1);
});

test('X1: back, but it has forgotten our resource version: one LIST, and what was deleted meanwhile is deleted', async () => {
  const informer = await followSynced();
  await proxy.setReachable(false);
  await create('b');
  await remove('a');
  proxy.inject({
    match: ({ kind }) => kind === 'watch',
    times: 1,
    fault: { do: 'refuse', code: 410, reason: 'Expired' },
  });
  await proxy.setReachable(true);
  await expect.poll(() => names(informer), SOON).toBe('b');
  await openWatch();
  expect(lists()).toBe(1);
  expect(changes.sort()).toEqual(['added b', 'deleted a']);
});

test.each([500, 503, 429])(
  'X1: %i to every request for a while: the cache stands, and then follows again',
  async (code) => {
    const informer = await followSynced();
    const heal = proxy.inject({ fault: { do: 'refuse', code, reason: 'InternalError' } });
    proxy.cutConnections();
    await create('b');
    await expect.poll(() => watchRequests().length, SOON).toBeGreaterThanOrEqual(2);
    expect(names(informer)).toBe('a');
    heal();
    await expect.poll(() => names(informer), SOON).toBe('a b');
    expect(lists()).toBe(0);
  },
);

test('X2: watch closed: it is taken up where it ended, without a LIST', async () => {
  const informer = await followSynced();
  await create('b');
  await expect.poll(() => names(informer), SOON).toBe('a b');
  const version = (await openWatch()).request.query['resourceVersion'];
  (await openWatch()).end();
  await remove('b');
  await expect.poll(() => names(informer), SOON).toBe('a');
  expect(changes).toEqual(['added b', 'deleted b']);
  expect(watchRequests().at(-1)?.query['resourceVersion']).not.toBe(version);
  expect(lists()).toBe(0);
});

test('X2: connection cut in the middle: it is taken up where it ended, without a LIST', async () => {
  const informer = await followSynced();
  proxy.cutConnections();
  await create('b');
  await expect.poll(() => names(informer), SOON).toBe('a b');
  expect(lists()).toBe(0);
});

test.each([
  ['410', expiredEvent()],
  ['500', errorEvent(500, 'InternalError', 'etcd lost its mind')],
])('X2: ERROR event %s with HTTP 200: exactly one relist, no lost event', async (_code, event) => {
  const informer = await followSynced();
  // Nothing of the gap may come by the old stream: only the LIST can tell.
  proxy.inject({ match: ({ kind }) => kind === 'watch', times: 1, fault: { do: 'cut', when: 'before' } });
  (await openWatch()).send(event);
  await remove('a');
  await create('b');
  await expect.poll(() => names(informer), SOON).toBe('b');
  await openWatch();
  await create('c');
  await expect.poll(() => names(informer), SOON).toBe('b c');
  expect(changes).toContain('deleted a');
  expect(lists()).toBe(1);
});

test('X2: bookmarks only: the watch is taken up at the last bookmark, without a LIST', async () => {
  const informer = await followSynced();
  // Elsewhere, so that the version moves on and this watch has nothing to tell.
  await cluster.freshNamespace();
  const list = await direct.request('GET', '/api/v1/namespaces');
  const version =
    isRecord(list) && isRecord(list['metadata']) ? String(list['metadata']['resourceVersion']) : '';
  const watch = await openWatch();
  expect(watch.request.query['resourceVersion']).not.toBe(version);
  expect(watch.request.query['allowWatchBookmarks']).toBe('true');
  watch.send(bookmarkEvent('v1', 'ConfigMap', version));
  watch.end();
  await expect.poll(() => watchRequests().at(-1)?.query['resourceVersion'], SOON).toBe(version);
  await create('b');
  await expect.poll(() => names(informer), SOON).toBe('a b');
  expect(changes).toEqual(['added b']);
  expect(lists()).toBe(0);
});

/** Backoff passes at once but is noted; the resync never comes. */
function impatientClock(): { clock: Clock; waits: number[] } {
  const waits: number[] = [];
  const clock: Clock = {
    ...systemClock,
    timer(ms, run) {
      if (ms > 60_000) return () => undefined;
      waits.push(ms);
      return systemClock.timer(0, run);
    },
  };
  return { clock, waits };
}

test('X2: a server that closes every watch at once is asked at growing intervals: no hot loop', async () => {
  const { clock, waits } = impatientClock();
  const informer = await followSynced({ clock });
  proxy.inject({
    match: ({ kind }) => kind === 'watch',
    times: 7,
    fault: { do: 'edit', edit: () => 'close' },
  });
  const [watch] = proxy.watches;
  // Each new watch starts before `a` was made, and so has an event to be closed at.
  watch?.send(bookmarkEvent('v1', 'ConfigMap', '1'));
  watch?.end();
  await expect.poll(() => watchRequests().length, SOON).toBeGreaterThanOrEqual(8);
  await create('b');
  await expect.poll(() => names(informer), SOON).toBe('a b');
  expect(waits.slice(0, 8)).toEqual([400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000]);
});

test('X6: a server that asks to be left alone for a while is', async () => {
  const { clock, waits } = impatientClock();
  const informer = await followSynced({ clock });
  proxy.inject({
    match: ({ kind }) => kind === 'watch',
    times: 1,
    fault: { do: 'refuse', code: 429, reason: 'TooManyRequests', retryAfter: 7 },
  });
  proxy.cutConnections();
  await create('b');
  await expect.poll(() => names(informer), SOON).toBe('a b');
  expect(waits).toContain(7_000);
});

test('X2: a connection that has gone silent (half-open) is given up and taken up again', async () => {
  const informer = await followSynced({ idleMs: 300 });
  proxy.inject({ match: ({ kind }) => kind === 'watch', times: 1, fault: { do: 'edit', edit: () => [] } });
  proxy.cutConnections();
  await create('b');
  await expect.poll(() => names(informer), SOON).toBe('a b');
  expect(errors.some((message) => message.includes('no byte in 300 ms'))).toBe(true);
  expect(lists()).toBe(0);
});

test('X4: an event that never came is healed by the resync', async () => {
  // The first watch loses its first two events, and goes on as if nothing had been.
  proxy.inject({
    match: ({ kind }) => kind === 'watch',
    times: 1,
    fault: { do: 'edit', edit: (event, index) => (index <= 2 ? [] : [event]) },
  });
  const informer = await followSynced({ resyncMs: 2_000 });
  await create('b');
  await remove('a');
  await create('c');
  await expect.poll(() => names(informer), SOON).toBe('b c');
  expect(changes.filter((change) => change !== 'added c').sort()).toEqual(['added b', 'deleted a']);
});

test('X4: deleted and made again while nobody looked: told as two changes', async () => {
  const informer = await followSynced();
  proxy.inject({
    match: ({ kind }) => kind === 'watch',
    times: 1,
    fault: { do: 'refuse', code: 410, reason: 'Expired' },
  });
  await proxy.setReachable(false);
  await remove('a');
  await create('a');
  await proxy.setReachable(true);
  await expect.poll(() => changes, SOON).toEqual(['deleted a', 'added a']);
  expect(names(informer)).toBe('a');
});

test('stop leaves no watch open and sends nothing more, in whatever state it is', async () => {
  const watching = await followSynced();
  await watching.stop();
  await expect.poll(() => proxy.watches.length, SOON).toBe(0);

  const held = proxy.inject({ match: ({ kind }) => kind === 'list', fault: { do: 'delay', ms: 500 } });
  const listing = follow({ transform: nameOf });
  await expect.poll(lists, SOON).toBe(1);
  await listing.stop();
  await expect(listing.synced).rejects.toThrow('stopped before it was synced');
  held();

  await proxy.setReachable(false);
  const waiting = follow({ transform: nameOf });
  await expect.poll(() => errors.length, SOON).toBeGreaterThanOrEqual(1);
  await waiting.stop();
  await proxy.setReachable(true);
  const before = proxy.requests.length;
  await client.request('GET', path);
  expect(proxy.requests.length).toBe(before + 1);
  expect(proxy.watches.length).toBe(0);
});

test('a listener that throws is reported, and loses nothing', async () => {
  const informer = await followSynced({
    onChange: ({ entry }) => {
      throw new Error(`cannot bear ${entry.resource.metadata.name}`);
    },
  });
  await create('b');
  await expect.poll(() => names(informer), SOON).toBe('a b');
  expect(errors).toContain('cannot bear b');
});

test('a collection of more than 500 comes in pages, one picture', async () => {
  const wanted = Array.from({ length: 510 }, (_, index) => `c${index}`);
  for (let at = 0; at < wanted.length; at += 30) await Promise.all(wanted.slice(at, at + 30).map(create));
  const informer = follow({ transform: nameOf });
  await informer.synced;
  expect(informer.size).toBe(510);
  expect(lists()).toBe(2);
});

test('objects are kept without managedFields and last-applied, and cannot be changed', async () => {
  const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{}', note: 'kept' };
  await direct.request('POST', path, { body: { metadata: { name: 'a', annotations }, data: { v: '1' } } });
  const informer = follow({ transform: (object) => object });
  await informer.synced;
  const [object] = informer.list();
  expect(object).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap', data: { v: '1' } });
  expect(object?.metadata).not.toHaveProperty('managedFields');
  expect(object?.metadata.annotations).toEqual({ note: 'kept' });
  expect(Object.isFrozen(object?.['data'])).toBe(true);
});

test('metadata only: labels are there, content never comes, by LIST or by WATCH', async () => {
  await create('a');
  const informer = follow({ transform: (object) => object, metadataOnly: true });
  await informer.synced;
  await openWatch();
  await create('b');
  await expect.poll(() => informer.size, SOON).toBe(2);
  for (const object of informer.list()) {
    expect(object.kind).toBe('PartialObjectMetadata');
    expect(object).not.toHaveProperty('data');
  }
});

test('a label selector narrows LIST and WATCH', async () => {
  await create('a');
  const labels = { mine: 'yes' };
  await direct.request('POST', path, { body: { metadata: { name: 'b', labels } } });
  const informer = follow({ transform: nameOf, labelSelector: 'mine=yes' });
  await informer.synced;
  await openWatch();
  await create('c');
  await direct.request('POST', path, { body: { metadata: { name: 'd', labels } } });
  await expect.poll(() => names(informer), SOON).toBe('b d');
});
