import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type ApiClient,
  createApiClient,
  loadKubeConfig,
  patchTypes,
} from '../../operator/platform/kubernetes/runtime/client.ts';
import { systemClock } from '../../operator/platform/kubernetes/runtime/clock.ts';
import {
  type Election,
  type ElectionOptions,
  joinElection,
} from '../../operator/platform/kubernetes/runtime/leader.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { type FaultProxy, startFaultProxy } from './proxy.ts';
import { recordFaults } from './record.ts';

const SOON = { timeout: 20_000, interval: 20 };
/** A tenth of the real times; the Lease itself counts whole seconds. */
const times = { leaseMs: 2_000, renewDeadlineMs: 1_000, retryMs: 200 };
const cluster = useControlPlane();
let proxy: FaultProxy;
let direct: ApiClient;
let throughProxy: ApiClient;
let namespace: string;
let path: string;
let log: string[];
const elections: Election[] = [];

beforeEach(async () => {
  namespace = await cluster.freshNamespace();
  path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/postern`;
  proxy = await startFaultProxy(cluster.current);
  direct = createApiClient(loadKubeConfig(await cluster.current.kubeconfigFor('admin')));
  throughProxy = createApiClient(loadKubeConfig(await cluster.current.kubeconfigFor('admin', proxy.url)));
  log = [];
});

afterEach(async () => {
  await proxy.setReachable(true);
  await Promise.all(elections.splice(0).map((election) => election.stop()));
  direct.close();
  throughProxy.close();
  await proxy.stop();
});

function join(identity: string, client: ApiClient, options: Partial<ElectionOptions> = {}): Election {
  const election = joinElection({
    client,
    namespace,
    name: 'postern',
    identity,
    clock: systemClock,
    times,
    onElected: () => log.push(`${identity} leads`),
    onLost: (reason) => log.push(`${identity} lost: ${reason}`),
    ...options,
  });
  elections.push(election);
  return election;
}

const lease = () => direct.request('GET', path);

test('one candidate leads, and when it stops another need not wait for the end of the Lease', async () => {
  const first = join('one', direct);
  await expect.poll(() => log, SOON).toEqual(['one leads']);
  const second = join('two', direct);
  await expect.poll(lease, SOON).toMatchObject({ spec: { holderIdentity: 'one', leaseDurationSeconds: 2 } });
  expect(second.isLeader()).toBe(false);
  expect(first.isLeader()).toBe(true);
  await first.stop();
  expect(first.isLeader()).toBe(false);
  await expect.poll(() => log, SOON).toEqual(['one leads', 'two leads']);
  expect(await lease()).toMatchObject({ spec: { holderIdentity: 'two', leaseTransitions: 1 } });
});

test('X7: a leader that cannot reach the API server gives up before another leads', async () => {
  const first = join('one', throughProxy);
  await expect.poll(() => log, SOON).toEqual(['one leads']);
  let bothLed = false;
  join('two', direct, {
    onElected: () => {
      bothLed = first.isLeader();
      log.push('two leads');
    },
  });
  await proxy.setReachable(false);
  await expect.poll(() => log.length, SOON).toBe(3);
  expect(log[1]).toMatch(/^one lost: the Lease could not be renewed for \d+ s$/);
  expect(log[2]).toBe('two leads');
  expect(bothLed).toBe(false);
  recordFaults(1);
});

test('X7: a leader keeps the Lease through refused renewals, if they end before the deadline', async () => {
  const first = join('one', throughProxy);
  await expect.poll(() => log, SOON).toEqual(['one leads']);
  proxy.inject({
    match: ({ kind }) => kind === 'write',
    times: 2,
    fault: { do: 'refuse', code: 500, reason: 'InternalError' },
  });
  const writes = () => proxy.requests.filter(({ kind }) => kind === 'write').length;
  const before = writes();
  await expect.poll(writes, SOON).toBeGreaterThanOrEqual(before + 5);
  expect(log).toEqual(['one leads']);
  expect(first.isLeader()).toBe(true);
  recordFaults(2);
});

test('X7: a renewal whose answer was lost is not taken for a rival', async () => {
  const first = join('one', throughProxy);
  await expect.poll(() => log, SOON).toEqual(['one leads']);
  proxy.inject({ match: ({ kind }) => kind === 'write', times: 1, fault: { do: 'cut', when: 'after' } });
  const writes = () => proxy.requests.filter(({ kind }) => kind === 'write').length;
  const before = writes();
  await expect.poll(writes, SOON).toBeGreaterThanOrEqual(before + 4);
  expect(log).toEqual(['one leads']);
  expect(first.isLeader()).toBe(true);
  recordFaults(1);
});

test('X7: a leader whose Lease another holds stops at once and names it', async () => {
  join('one', direct);
  await expect.poll(() => log, SOON).toEqual(['one leads']);
  const spec = { holderIdentity: 'rival' };
  await direct.request('PATCH', path, { body: { spec }, contentType: patchTypes.merge });
  await expect.poll(() => log[1], SOON).toBe('one lost: rival holds the Lease now');
  recordFaults(1);
});

test.each(['2000-01-01T00:00:00.000000Z', '2099-01-01T00:00:00.000000Z'])(
  'a Lease renewed at %s by another clock ends when nobody has touched it for its time, by ours',
  async (renewTime) => {
    const body = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'postern', namespace },
      spec: {
        holderIdentity: 'ghost',
        leaseDurationSeconds: 2,
        renewTime,
        acquireTime: renewTime,
        leaseTransitions: 4,
      },
    };
    await direct.request('POST', path.replace(/\/postern$/, ''), { body });
    const joined = systemClock.now();
    let elected = Number.NaN;
    join('one', direct, { onElected: () => (elected = systemClock.now()) });
    await expect.poll(() => elected, SOON).toBeGreaterThanOrEqual(joined + 2_000);
    expect(await lease()).toMatchObject({ spec: { holderIdentity: 'one', leaseTransitions: 5 } });
  },
);
