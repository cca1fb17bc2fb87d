import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { parse } from 'yaml';
import * as z from 'zod';
import { kinds } from '../operator/api/index.ts';
import type { RunningOperator } from '../operator/operator.ts';
import { type ControlPlane, startControlPlane } from '../test/cluster/control-plane.ts';
import { freePort } from '../test/cluster/free-port.ts';
import { ensurePrograms } from '../test/cluster/install.ts';
import { Crowd } from '../test/faults/crowd.ts';
import { type FaultProxy, startFaultProxy } from '../test/faults/proxy.ts';
import { crdFolder, isTrue, waitFor } from '../test/kubernetes/namespace.ts';
import { reconcilesByTenant, reconcilesOf, resolver, startOperatorIn } from '../test/kubernetes/operator.ts';
import { endWithRunner } from '../test/wire/mta-process.ts';
import { asInImage } from './as-in-image.ts';
import { memoryOf } from './process-memory.ts';
import { type BenchResult, rounded } from './result.ts';

const entries = 1_000;
const changes = 10;
/** How much faster than by default the operator looks at what has not changed, so that ten minutes pass in half of one. */
const haste = 20;
const defaults = { slowPollMs: 30_000, resyncMs: 290_000 };
const restMs = 600_000;
const never = 3_600_000;
/** Nothing is waited for longer: a machine may be slow, and what is measured may miss its target by far. */
const deadlineMs = 600_000;

/**
 * Q9 and Q10: an operator of the whole cluster, and 1,000 objects of 100 tenants (5 domains, a Route, two lists of 1,000 addresses,
 * a TlsPolicy and a DkimKey each) in a real API server. Their pods answer at once and are no processes.
 */
export async function run(): Promise<BenchResult[]> {
  await ensurePrograms();
  const controlPlane = await startControlPlane();
  try {
    await controlPlane.installCrds(crdFolder);
    await controlPlane.createNamespace('system');
    const crowd = await Crowd.make(controlPlane, 'system', () => entries);
    try {
      return [
        ...(await coldStart(crowd)),
        await oneTenantsChange(crowd, controlPlane),
        await rest(crowd, controlPlane),
      ];
    } finally {
      crowd.stop();
    }
  } finally {
    await controlPlane.stop();
  }
}

const chartValues = z.object({
  resources: z.object({ limits: z.object({ memory: z.string().regex(/^\d+Mi$/) }) }),
});

/**
 * Flags for the heap that Node.js takes for itself in a container with the memory limit of the chart: half of that for what is old,
 * and for what is young 1 MiB or, above 512 MiB, 16 (v8.getHeapStatistics of Node.js 24 in containers of 512, 768 and 1,024 MiB).
 */
async function heapAsInContainer(): Promise<string[]> {
  const file = new URL('../charts/postern/values.yaml', import.meta.url);
  const { resources } = chartValues.parse(parse(await readFile(file, 'utf8')));
  const limit = Number.parseInt(resources.limits.memory, 10);
  return [`--max-old-space-size=${limit / 2}`, `--max-semi-space-size=${limit > 512 ? 16 : 1}`];
}

/** From the start of the process, compiled as in the image, until every object is Ready. */
async function coldStart(crowd: Crowd): Promise<BenchResult[]> {
  const ready = new Set<string>();
  let writes = 0;
  const watching = new AbortController();
  const watches = kinds.map(({ plural }) =>
    crowd.system.admin.watch(`/apis/postern.dev/v1alpha1/${plural}`, watching.signal, (object, type) => {
      if (type === 'MODIFIED') writes += 1;
      if (isTrue(object, 'Ready')) ready.add(object.metadata.uid);
      else ready.delete(object.metadata.uid);
    }),
  );
  const { seconds, atOnce, later, most } = await asInImage(async (program) => {
    const kubeconfig = await crowd.system.operatorKubeconfig();
    const flags = [
      ...['--kubeconfig', kubeconfig, '--namespaces', 'all', '--leader-elect', '--log-level', 'warn'],
      ...['--http', `127.0.0.1:${await freePort()}`, '--resolver', resolver],
    ];
    const heap = await heapAsInContainer();
    const began = performance.now();
    const operator = spawn(
      process.execPath,
      [...heap, '--import', endWithRunner, program('cli/main.js'), 'operator', ...flags],
      {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
        env: { ...process.env, NODE_ENV: 'production', POD_NAMESPACE: crowd.system.name },
      },
    );
    const ended = once(operator, 'exit');
    const alive = <T>(answer: T): T => {
      if (operator.exitCode !== null) throw new Error(`the operator ended with ${operator.exitCode}`);
      return answer;
    };
    const pid = operator.pid ?? Number.NaN;
    try {
      await waitFor(
        'all to be Ready',
        () => alive(ready.size),
        (count) => count === crowd.objects,
        deadlineMs,
      );
      const seconds = (performance.now() - began) / 1_000;
      const { resident: atOnce } = await memoryOf(pid);
      await crowd.cleanedUp();
      const { resident: later, most } = await memoryOf(pid);
      return { seconds, atOnce, later, most };
    } finally {
      operator.kill();
      await ended;
    }
  });
  watching.abort();
  await Promise.all(watches);
  const what = `${crowd.objects} objects of ${crowd.tenants} tenants, lists of ${entries}`;
  const mib = (bytes: number) => rounded(bytes / 2 ** 20);
  return [
    {
      id: 'Q9',
      what: `${what}: start of the operator to all Ready`,
      value: rounded(seconds),
      unit: 's',
      target: '<= 30',
      peer: 'published, on other machines, 1,000 routes: Istio 2 s, kgateway 12 s, Envoy Gateway 23 s, nginx 29 s',
    },
    {
      id: 'Q9',
      what: `${what}: RSS of the operator at its most (${mib(atOnce)} when all were Ready, ${mib(later)} at rest)`,
      value: mib(most),
      unit: 'MiB',
      target: '<= 186',
      peer: 'published: Envoy Gateway 186 MiB with 1,000 routes',
    },
    {
      id: 'Q10',
      what: `${what}: writes to the objects until then, status and finalizers`,
      value: writes,
      unit: 'writes',
      target: '-',
      peer: 'published, 1,000 routes: 73 to 1,403 status writes, Istio 311',
    },
  ];
}

/** Reconciles of others when a list of one tenant changes; no clock makes the operator look at anybody meanwhile. */
async function oneTenantsChange(crowd: Crowd, controlPlane: ControlPlane): Promise<BenchResult> {
  const intervals = { slowPollMs: never, resyncMs: never };
  const others = await withOperator(crowd, controlPlane, intervals, async (operator) => {
    const [one] = crowd.spaces;
    if (one === undefined) throw new Error('no tenant');
    const before = await reconcilesByTenant(operator);
    for (let change = 1; change <= changes; change += 1) {
      await crowd.change(one, entries, [`192.0.2.${change}`]);
    }
    const after = await reconcilesByTenant(operator);
    if ((after.get(one.name) ?? 0) < (before.get(one.name) ?? 0) + changes)
      throw new Error(`${changes} changes made fewer reconciles of their own tenant`);
    after.delete(one.name);
    return [...after].reduce((sum, [name, count]) => sum + count - (before.get(name) ?? 0), 0);
  });
  return {
    id: 'Q10',
    what: `reconciles of ${crowd.tenants - 1} other tenants while a list of one changed ${changes} times`,
    value: others,
    unit: 'reconciles',
    target: '0',
  };
}

/** Writes while nothing changes: as many reconciles and full LISTs as in ten minutes, in less time. */
async function rest(crowd: Crowd, controlPlane: ControlPlane): Promise<BenchResult> {
  const intervals = { slowPollMs: defaults.slowPollMs / haste, resyncMs: defaults.resyncMs / haste };
  const reconciles = (restMs / defaults.slowPollMs) * crowd.tenants;
  const listsOfEach = Math.floor(restMs / defaults.resyncMs);
  const { writes, seconds } = await withOperator(crowd, controlPlane, intervals, async (operator, proxy) => {
    const target = (await reconcilesOf(operator)) + reconciles;
    const collections = new Set(listsIn(proxy)).size;
    proxy.requests.length = 0;
    const began = performance.now();
    await waitFor(
      'as much as happens in ten minutes',
      async () => {
        await delay(1_000);
        return (await reconcilesOf(operator)) >= target && listsIn(proxy).length >= listsOfEach * collections;
      },
      (enough) => enough,
      deadlineMs,
    );
    return { writes: writesIn(proxy), seconds: (performance.now() - began) / 1_000 };
  });
  for (const write of writes) console.error(`a write at rest: ${write}`);
  return {
    id: 'Q10',
    what: `writes but of the Lease while nothing changes, in ${reconciles} reconciles and ${listsOfEach} LISTs of everything (10 minutes' worth, looked at ${haste} times as often for ${Math.round(seconds)} s)`,
    value: writes.length,
    unit: 'writes',
    target: '0',
  };
}

/** An operator of all in this process, behind a proxy that counts; `work` begins when it has been through and is at rest. */
async function withOperator<T>(
  crowd: Crowd,
  controlPlane: ControlPlane,
  intervals: { readonly slowPollMs: number; readonly resyncMs: number },
  work: (operator: RunningOperator, proxy: FaultProxy) => Promise<T>,
): Promise<T> {
  const proxy = await startFaultProxy(controlPlane);
  const operator = await startOperatorIn(
    crowd.system,
    { namespaces: 'all', clusterRanges: ['127.0.0.0/8', '::1/128'], ...intervals },
    proxy.url,
  );
  try {
    let before = -1;
    await waitFor(
      'the operator to have been through, and to rest',
      async () => {
        await delay(2_000);
        const reconciles = await reconcilesByTenant(operator, 'ok');
        // By the clock nothing but writes tells that it rests; else no reconcile does.
        const done =
          intervals.slowPollMs === never
            ? [...reconciles.values()].reduce((sum, count) => sum + count, 0)
            : writesIn(proxy).length;
        const rests = reconciles.size === crowd.tenants && done === before;
        before = done;
        return rests;
      },
      (rests) => rests,
      deadlineMs,
    );
    return await work(operator, proxy);
  } finally {
    await operator.stop();
    await proxy.stop();
  }
}

const writesIn = ({ requests }: FaultProxy) =>
  requests
    .filter(({ kind, plural }) => kind === 'write' && plural !== 'leases')
    .map(({ method, path }) => `${method} ${path}`);

const listsIn = ({ requests }: FaultProxy) =>
  requests.filter(({ kind }) => kind === 'list').map(({ path }) => path);
