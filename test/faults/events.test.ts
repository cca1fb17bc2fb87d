import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type ApiClient,
  createApiClient,
  loadKubeConfig,
} from '../../operator/platform/kubernetes/runtime/client.ts';
import { createEventRecorder, type EventInput } from '../../operator/platform/kubernetes/runtime/events.ts';
import { type ManualClock, manualClock } from '../../operator/platform/kubernetes/runtime/manual-clock.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { eventually } from '../wire/eventually.ts';
import { type FaultProxy, startFaultProxy } from './proxy.ts';

const cluster = useControlPlane();
let proxy: FaultProxy;
let client: ApiClient;
let namespace: string;
let clock: ManualClock;
let errors: unknown[];

beforeEach(async () => {
  namespace = await cluster.freshNamespace();
  proxy = await startFaultProxy(cluster.current);
  client = createApiClient(loadKubeConfig(await cluster.current.kubeconfigFor('admin', proxy.url)));
  clock = manualClock();
  errors = [];
});

afterEach(async () => {
  client.close();
  await proxy.stop();
});

const recorder = () =>
  createEventRecorder({
    client,
    clock,
    reportingController: 'postern.dev/operator',
    reportingInstance: 'pod-0',
    onError: (error) => errors.push(error),
  });

const unreachable = (note = 'connection refused', where = namespace): EventInput => ({
  regarding: {
    apiVersion: 'postern.dev/v1alpha1',
    kind: 'Route',
    metadata: { name: 'dlp', namespace: where, uid: 'u1', resourceVersion: '1' },
  },
  type: 'Warning',
  reason: 'RouteUnreachable',
  action: 'Probe',
  note,
});

async function stored(): Promise<unknown> {
  return client.request('GET', `/apis/events.k8s.io/v1/namespaces/${namespace}/events`);
}
const writes = () => proxy.requests.filter(({ kind }) => kind === 'write').length;

test('OP7: an event is on its object, where kubectl shows it', async () => {
  const events = recorder();
  events.record(unreachable());
  await events.stop();
  const { stdout } = await cluster.current.kubectl('admin', ['get', 'events', '-n', namespace]);
  expect(stdout).toMatch(/Warning\s+RouteUnreachable\s+route\/dlp\s+connection refused/);
  expect(errors).toEqual([]);
});

test('the same event again is counted in a series: two writes at once, and one each 6 minutes', async () => {
  const events = recorder();
  events.record(unreachable());
  await events.flush();
  for (let again = 0; again < 20; again += 1) {
    events.record(unreachable());
    await events.flush();
  }
  expect(writes()).toBe(2);
  await clock.advance(360_000);
  await events.flush();
  expect(writes()).toBe(3);
  expect(await stored()).toMatchObject({ items: [{ reason: 'RouteUnreachable', series: { count: 21 } }] });
  await events.stop();
  expect(writes()).toBe(3);
});

test('another note is another event', async () => {
  const events = recorder();
  events.record(unreachable());
  events.record(unreachable('timed out'));
  await events.stop();
  expect(await stored()).toMatchObject({ items: [{}, {}] });
});

test('nothing throws and nothing waits when the API server refuses, and the backlog is bounded', async () => {
  proxy.inject({ fault: { do: 'refuse', code: 403, reason: 'Forbidden' } });
  const events = recorder();
  for (let n = 0; n < 1_500; n += 1) events.record(unreachable(`fault ${n}`));
  await events.flush();
  expect(writes()).toBe(1_000);
  expect(errors).toHaveLength(1);
  events.record(unreachable('x'.repeat(5_000)));
  await events.stop();
});

test('why events are not written is told once for each namespace and reason, until it works again', async () => {
  const { current } = cluster;
  client = createApiClient(
    loadKubeConfig(await current.kubeconfigForServiceAccount(namespace, 'writer', proxy.url)),
  );
  const kubectl = (...args: string[]) => current.kubectl('admin', ['-n', namespace, ...args]);
  const writer = `${namespace}:writer`;
  await kubectl('create', 'role', 'events', '--verb=create', '--resource=events.events.k8s.io');
  const bind = () =>
    kubectl('create', 'rolebinding', 'events', '--role=events', `--serviceaccount=${writer}`);
  const mayWrite = (answer: 'yes' | 'no') =>
    eventually(async () => {
      const as = `--as=system:serviceaccount:${writer}`;
      const { stdout } = await kubectl('auth', 'can-i', 'create', 'events.events.k8s.io', as);
      return stdout.trim() === answer;
    }, `${writer} may write events: ${answer}`);
  const events = recorder();
  let said = 0;
  const say = async (where = namespace) => {
    for (const last = said + 5; said < last; said += 1) events.record(unreachable(`fault ${said}`, where));
    await events.flush();
  };

  await say();
  await say();
  expect(errors).toEqual([expect.objectContaining({ message: expect.stringContaining('cannot create') })]);
  await say('elsewhere');
  expect(errors).toHaveLength(2);
  const recovered = proxy.inject({ fault: { do: 'refuse', code: 500, reason: 'InternalError' } });
  await say();
  recovered();
  await say();
  expect(errors).toHaveLength(3);

  await bind();
  await mayWrite('yes');
  await say();
  await kubectl('delete', 'rolebinding', 'events');
  await mayWrite('no');
  await say();
  await say('elsewhere');
  expect(errors).toHaveLength(4);
  await events.stop();
});

test('a note that is too long is cut, not refused', async () => {
  const events = recorder();
  events.record(unreachable('x'.repeat(5_000)));
  await events.stop();
  expect(errors).toEqual([]);
  expect(await stored()).toMatchObject({ items: [{ note: 'x'.repeat(1024) }] });
});
