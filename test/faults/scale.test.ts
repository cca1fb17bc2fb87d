// X19: a thousand objects of a hundred tenants with lists of a thousand addresses, two of them with full ones; two replicas of the
// operator.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { useControlPlane } from '../cluster/shared.ts';
import { crdFolder, type TestNamespace, tenant, waitFor } from '../kubernetes/namespace.ts';
import { type OperatorProcess, reconcilesByTenant, startOperatorProcess } from '../kubernetes/operator.ts';
import { Crowd } from './crowd.ts';
import { type FaultProxy, startFaultProxy } from './proxy.ts';
import { recordFaults } from './record.ts';
import { isStateWrite } from './world.ts';

const entries = 1_000;
/** The two that change have lists as long as one may be. */
const fullEntries = 10_000;
const full = [42, 77] as const;

const cluster = useControlPlane({ identities: [tenant] });
let crowd: Crowd;
const proxies: FaultProxy[] = [];
const replicas: OperatorProcess[] = [];

beforeAll(async () => {
  await cluster.current.installCrds(crdFolder);
  crowd = await Crowd.make(cluster.current, await cluster.freshNamespace('system'), (number) =>
    full.some((one) => one === number) ? fullEntries : entries,
  );
}, 180_000);

afterAll(async () => {
  await Promise.all(replicas.map((replica) => replica.stop()));
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  crowd?.stop();
});

async function startReplica(): Promise<{ replica: OperatorProcess; proxy: FaultProxy }> {
  const proxy = await startFaultProxy(cluster.current);
  proxies.push(proxy);
  const flags = ['--leader-elect', '--namespaces', 'all'];
  const replica = await startOperatorProcess(crowd.system, flags, proxy.url);
  replicas.push(replica);
  return { replica, proxy };
}

const writesOf = (proxy: FaultProxy) =>
  proxy.requests.filter(isStateWrite).map(({ method, path }) => `${method} ${path}`);

const othersThan = ({ name }: TestNamespace, writes: readonly string[]) =>
  writes.filter((write) => !write.includes(`/namespaces/${name}/`));

/** Blocks one more address for a tenant, and tells what the operator wrote for that. */
async function writesForOneChange(
  space: TestNamespace,
  proxy: FaultProxy,
  more: string[],
): Promise<string[]> {
  proxy.requests.length = 0;
  await crowd.change(space, fullEntries, more);
  const written = writesOf(proxy);
  // A shard, the index and the status at least.
  expect(written.length).toBeGreaterThanOrEqual(3);
  return written;
}

test('X19: a change of one list of a hundred tenants writes for its tenant alone; a new leader writes nothing', {
  timeout: 240_000,
}, async () => {
  const first = await startReplica();
  await waitFor(
    'the first to lead',
    () => first.replica.lines.some(({ msg }) => msg.includes('is followed')),
    (leads) => leads,
  );
  const second = await startReplica();
  // Told by the proxy, for free: to list all objects again and again would be a load of its own.
  const reported = () =>
    new Set(first.proxy.requests.filter(({ path }) => path.endsWith('/status')).map(({ path }) => path)).size;
  await waitFor('all to have a status', reported, (count) => count === crowd.objects, 180_000);
  await waitFor(
    'all to be Ready',
    () => crowd.ready(),
    (count) => count === crowd.objects,
    60_000,
  );
  await crowd.cleanedUp();

  const [one, other] = full.map((number) => crowd.spaces[number]);
  if (one === undefined || other === undefined) throw new Error('too few tenants');
  const written = await writesForOneChange(one, first.proxy, ['192.0.2.1']);
  expect(othersThan(one, written)).toEqual([]);

  await first.replica.stop();
  const lookedAt = () =>
    new Set(
      second.proxy.requests.flatMap(
        ({ path }) => /^\/api\/v1\/namespaces\/(tenant-\d+)$/.exec(path)?.[1] ?? [],
      ),
    ).size;
  await waitFor(
    'the second to have looked at every tenant',
    lookedAt,
    (count) => count === crowd.tenants,
    120_000,
  );
  await waitFor(
    'it to be through',
    async () => (await reconcilesByTenant(second.replica, 'ok')).size,
    (count) => count === crowd.tenants,
    60_000,
  );
  // Whatever the first had still to do for the change.
  expect(othersThan(one, writesOf(second.proxy))).toEqual([]);
  const writtenBySecond = await writesForOneChange(other, second.proxy, ['192.0.2.2']);
  expect(othersThan(other, writtenBySecond)).toEqual([]);
  recordFaults(3);
});
