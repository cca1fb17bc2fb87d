// X19: a thousand objects of a hundred tenants with lists of a thousand addresses, two of them with full ones; two replicas of the
// operator.
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { kinds } from '../../operator/api/index.ts';
import { freePort } from '../cluster/free-port.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { type KubeObject, paths } from '../kubernetes/api.ts';
import { podObject, statefulSetObject } from '../kubernetes/kubelet.ts';
import { crdFolder, TestNamespace, tenant, waitFor } from '../kubernetes/namespace.ts';
import { type OperatorProcess, startOperatorProcess } from '../kubernetes/operator.ts';
import { grantWholeCluster, letOperatorIn } from '../kubernetes/whole-cluster.ts';
import { mailDomain } from './fixtures.ts';
import { type FaultProxy, startFaultProxy } from './proxy.ts';
import { recordFaults } from './record.ts';
import { isStateWrite } from './world.ts';

const tenants = 100;
const domains = 5;
const entries = 1_000;
/** The two that change have lists as long as one may be. */
const fullEntries = 10_000;
const full = [42, 77] as const;
const atATime = 8;
/** Lists, key, Route and TLS policy. */
const objects = tenants * (domains + 5);

const cluster = useControlPlane({ identities: [tenant] });
let system: TestNamespace;
let pods: Server;
let spaces: TestNamespace[];
const proxies: FaultProxy[] = [];
const replicas: OperatorProcess[] = [];

const apiVersion = 'postern.dev/v1alpha1';
const object = (kind: string, name: string, spec: object) => ({ apiVersion, kind, metadata: { name }, spec });
/** A list of addresses of the block 10.`second`.0.0/16. */
function list(action: 'Allow' | 'Block', second: number, count: number, more: readonly string[] = []) {
  const length = count - more.length;
  const addresses = Array.from({ length }, (_, at) => `10.${second}.${at >> 8}.${at & 255}`);
  const text = [...addresses, ...more].join('\n');
  return object('IpAccessList', action.toLowerCase(), { action, allDomains: true, text });
}

function objectsOf(name: string, count: number): object[] {
  const names = Array.from({ length: domains }, (_, index) => `d${index}`);
  return [
    ...names.map((domain) =>
      mailDomain(domain, `${domain}.${name}.example`, { mailbox: { routeRef: { name: 'store' } } }),
    ),
    object('Route', 'store', {
      host: 'store.example.net',
      port: 24,
      protocol: 'LMTP',
      tls: { mode: 'Required' },
    }),
    list('Allow', 1, count),
    list('Block', 2, count),
    object('TlsPolicy', 'partners', {
      title: 'Partners',
      domainRefs: [{ name: 'd0' }],
      directions: ['Outbound'],
      peerDomains: ['partner.example'],
    }),
    object('DkimKey', 'key', {
      domainRef: { name: 'd0' },
      algorithm: 'Ed25519',
      verification: { mode: 'OnRequest' },
    }),
  ];
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: atATime }, worker));
}

/** The address of the one pod of a tenant. */
const podIp = (number: number) => `127.77.0.${number + 1}`;
const index = z.object({
  bundleHash: z.string(),
  secretsRevision: z.string(),
  domains: z.record(z.string(), z.string()),
  routes: z.record(z.string(), z.string()),
});

/** Pods that load whatever is there at once, and need no process each: what is measured is the operator. */
async function startPods(): Promise<number> {
  pods = createServer(async (request, response) => {
    const space = spaces[Number(request.socket.localAddress?.split('.').at(-1)) - 1];
    const path = paths.core(space?.name ?? '', 'configmaps', 'postern-default-index');
    const stored = await space?.admin.get(path);
    const loaded =
      stored === undefined ? undefined : index.parse(JSON.parse(stored.data['index.json'] ?? ''));
    const state = {
      readableVersions: [1],
      mta: 'default',
      bundleHash: null,
      secretsRevision: null,
      domains: {},
      routes: {},
      ...loaded,
      coldHash: '',
      loadError: null,
      loadedAt: 0,
      ready: true,
      readyReason: 'Ready',
      queue: { size: 0, deferred: 0 },
      ledger: { suppressedNdrs: 0, backscatterAvoided: 0, doubleBounces: 0, expired: 0 },
      routeProbes: { store: { reachable: true, reason: 'Connected', detail: '', checkedAt: 0 } },
    };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(state));
  });
  const port = await freePort('0.0.0.0');
  await new Promise<void>((resolve) => pods.listen(port, '0.0.0.0', resolve));
  return port;
}

beforeAll(async () => {
  await cluster.current.installCrds(crdFolder);
  system = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('system'));
  await grantWholeCluster(system);
  spaces = [];
  const port = await startPods();
  const numbers = Array.from({ length: tenants }, (_, number) => number);
  await inParallel(numbers, async (number) => {
    const name = `tenant-${number}`;
    await system.admin.create('/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name },
    });
    const space = await TestNamespace.prepare(cluster.current, name);
    spaces[number] = space;
    await letOperatorIn(space, system);
    const set = await space.admin.create(paths.apps(name, 'statefulsets'), statefulSetObject('default', 1));
    await addPod(space, set, podIp(number), port);
    for (const manifest of objectsOf(name, full.some((one) => one === number) ? fullEntries : entries)) {
      const { kind } = z.object({ kind: z.string() }).parse(manifest);
      const plural = kinds.find((one) => one.kind === kind)?.plural ?? '';
      await space.admin.create(paths.postern(name, plural), manifest);
    }
  });
}, 180_000);

async function addPod(space: TestNamespace, set: KubeObject, ip: string, port: number): Promise<void> {
  const pod = z.looseObject({ metadata: z.looseObject({}) }).parse(podObject('mail-0', 'default', set));
  const annotations = { 'postern.dev/state-port': String(port) };
  await space.admin.create(paths.core(space.name, 'pods'), {
    ...pod,
    metadata: { ...pod.metadata, annotations },
  });
  await space.admin.mergePatch(paths.core(space.name, 'pods', 'mail-0/status'), {
    status: {
      phase: 'Running',
      podIP: ip,
      podIPs: [{ ip }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  });
}

afterAll(async () => {
  await Promise.all(replicas.map((replica) => replica.stop()));
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  pods?.closeAllConnections();
  pods?.close();
  for (const space of [system, ...(spaces ?? [])]) space?.admin.close();
});

async function startReplica(): Promise<{ replica: OperatorProcess; proxy: FaultProxy }> {
  const proxy = await startFaultProxy(cluster.current);
  proxies.push(proxy);
  const replica = await startOperatorProcess(system, ['--leader-elect', '--namespaces', 'all'], proxy.url);
  replicas.push(replica);
  return { replica, proxy };
}

const writesOf = (proxy: FaultProxy) =>
  proxy.requests.filter(isStateWrite).map(({ method, path }) => `${method} ${path}`);

const othersThan = ({ name }: TestNamespace, writes: readonly string[]) =>
  writes.filter((write) => !write.includes(`/namespaces/${name}/`));

/** How many objects are Ready in the form in which they stand. */
async function ready(): Promise<number> {
  const lists = await Promise.all(
    kinds.map(({ plural }) => system.admin.list(`/apis/${apiVersion}/${plural}`)),
  );
  return lists.flat().filter(({ status, metadata }) => {
    const conditions = Array.isArray(status?.['conditions']) ? status['conditions'] : [];
    return conditions.some(
      ({ type, status: value, observedGeneration }) =>
        type === 'Ready' && value === 'True' && observedGeneration === metadata.generation,
    );
  }).length;
}

/** Secret indexes of all tenants: more than one for each while old files wait for a pod that may need them. */
async function generations(): Promise<number> {
  const name = 'metadata.name=postern-default-secret-index';
  const indexes = await system.admin.list(`/api/v1/secrets?fieldSelector=${encodeURIComponent(name)}`);
  return indexes.reduce((sum, { data }) => sum + Object.keys(data).length, 0);
}

/** Tenants that a replica has reconciled without an error. */
async function reconciled({ httpPort }: OperatorProcess): Promise<number> {
  const metrics = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
  return [...metrics.matchAll(/^postern_reconcile_total\{namespace="tenant-\d+",result="ok"\} /gm)].length;
}

/** Blocks one more address for a tenant, and tells what the operator wrote for that. */
async function writesForOneChange(
  space: TestNamespace,
  proxy: FaultProxy,
  more: string[],
): Promise<string[]> {
  proxy.requests.length = 0;
  const path = paths.postern(space.name, 'ipaccesslists', 'block');
  const changed = await space.admin.mergePatch(path, { spec: list('Block', 2, fullEntries, more).spec });
  await waitFor(
    'the change to be programmed',
    async () => (await space.admin.get(path))?.status?.['conditions'],
    (conditions) =>
      Array.isArray(conditions) &&
      conditions.some(
        ({ type, status, observedGeneration }) =>
          type === 'Programmed' && status === 'True' && observedGeneration === changed.metadata.generation,
      ),
  );
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
  await waitFor('all to have a status', reported, (count) => count === objects, 180_000);
  await waitFor('all to be Ready', ready, (count) => count === objects, 60_000);
  await waitFor('what no pod needs any more to be gone', generations, (count) => count === tenants, 90_000);

  const [one, other] = full.map((number) => spaces[number]);
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
  await waitFor('the second to have looked at every tenant', lookedAt, (count) => count === tenants, 120_000);
  await waitFor(
    'it to be through',
    () => reconciled(second.replica),
    (count) => count === tenants,
    60_000,
  );
  // Whatever the first had still to do for the change.
  expect(othersThan(one, writesOf(second.proxy))).toEqual([]);
  const writtenBySecond = await writesForOneChange(other, second.proxy, ['192.0.2.2']);
  expect(othersThan(other, writtenBySecond)).toEqual([]);
  recordFaults(3);
});
