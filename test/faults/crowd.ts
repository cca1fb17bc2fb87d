// A hundred tenants and a thousand objects, with a pod for each that is no process: what is looked at is the operator.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import * as z from 'zod';
import { mtaStateOf } from '../../bundle/fixture.ts';
import { kinds } from '../../operator/api/index.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { freePort } from '../cluster/free-port.ts';
import { paths } from '../kubernetes/api.ts';
import { podObject, statefulSetObject } from '../kubernetes/kubelet.ts';
import { isTrue, TestNamespace, waitFor } from '../kubernetes/namespace.ts';
import { grantWholeCluster, letOperatorIn } from '../kubernetes/whole-cluster.ts';
import { mailDomain } from './fixtures.ts';

const tenants = 100;
const domains = 5;
const atATime = 8;

const apiVersion = 'postern.dev/v1alpha1';
const object = (kind: string, name: string, spec: object) => ({ apiVersion, kind, metadata: { name }, spec });
const index = z.object({
  bundleHash: z.string(),
  secretsRevision: z.string(),
  domains: z.record(z.string(), z.string()),
  routes: z.record(z.string(), z.string()),
});

/** A list of addresses of the block 10.`second`.0.0/16, for all domains. @param more are among the `count`, at the end */
function list(action: 'Allow' | 'Block', second: number, count: number, more: readonly string[] = []) {
  const length = count - more.length;
  const addresses = Array.from({ length }, (_, at) => `10.${second}.${at >> 8}.${at & 255}`);
  const text = [...addresses, ...more].join('\n');
  return object('IpAccessList', action.toLowerCase(), { action, allDomains: true, text });
}

function objectsOf(tenant: string, entries: number): object[] {
  const names = Array.from({ length: domains }, (_, at) => `d${at}`);
  return [
    ...names.map((domain) =>
      mailDomain(domain, `${domain}.${tenant}.example`, { mailbox: { routeRef: { name: 'store' } } }),
    ),
    object('Route', 'store', {
      host: 'store.example.net',
      port: 24,
      protocol: 'LMTP',
      tls: { mode: 'Required' },
    }),
    list('Allow', 1, entries),
    list('Block', 2, entries),
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

/** Does the work for every item, some at a time. */
async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: atATime }, worker));
}

/** The address of the one pod of a tenant. */
const podIp = (number: number) => `127.77.0.${number + 1}`;

/** The tenants, in a cluster whose operator may serve them all. */
export class Crowd {
  readonly tenants = tenants;
  /** Lists, key, Route and TLS policy of each besides its domains. */
  readonly objects = tenants * (domains + 5);
  /** Namespace of the operator. */
  readonly system: TestNamespace;
  /** By number. */
  readonly spaces: readonly TestNamespace[];
  private readonly pods: Server;

  private constructor(system: TestNamespace, spaces: readonly TestNamespace[], pods: Server) {
    this.system = system;
    this.spaces = spaces;
    this.pods = pods;
  }

  /**
   * Makes everything that there is before the operator comes.
   *
   * @param systemName an existing namespace for the operator
   * @param entriesOf addresses in each of the two lists of a tenant
   */
  static async make(
    controlPlane: ControlPlane,
    systemName: string,
    entriesOf: (tenant: number) => number,
  ): Promise<Crowd> {
    const system = await TestNamespace.prepare(controlPlane, systemName);
    await grantWholeCluster(system);
    const spaces: TestNamespace[] = [];
    const { server, port } = await startPods(spaces);
    const numbers = Array.from({ length: tenants }, (_, number) => number);
    await inParallel(numbers, async (number) => {
      const name = `tenant-${number}`;
      await system.admin.create('/api/v1/namespaces', {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name },
      });
      const space = await TestNamespace.prepare(controlPlane, name);
      spaces[number] = space;
      await letOperatorIn(space, system);
      await addPod(space, podIp(number), port);
      for (const manifest of objectsOf(name, entriesOf(number))) {
        const { kind } = z.object({ kind: z.string() }).parse(manifest);
        const plural = kinds.find((one) => one.kind === kind)?.plural ?? '';
        await space.admin.create(paths.postern(name, plural), manifest);
      }
    });
    return new Crowd(system, spaces, server);
  }

  /** How many objects are Ready in the form in which they stand. */
  async ready(): Promise<number> {
    const lists = await Promise.all(
      kinds.map(({ plural }) => this.system.admin.list(`/apis/${apiVersion}/${plural}`)),
    );
    return lists.flat().filter((one) => isTrue(one, 'Ready')).length;
  }

  /** Waits until no tenant keeps old files for a pod that may need them. */
  async cleanedUp(): Promise<void> {
    const name = 'metadata.name=postern-default-secret-index';
    const path = `/api/v1/secrets?fieldSelector=${encodeURIComponent(name)}`;
    await waitFor(
      'what no pod needs any more to be gone',
      async () =>
        (await this.system.admin.list(path)).reduce((sum, { data }) => sum + Object.keys(data).length, 0),
      (generations) => generations === tenants,
      90_000,
    );
  }

  /** Blocks more addresses for a tenant, in a list of `entries` all the same, and waits until its pod has that. */
  async change(space: TestNamespace, entries: number, more: readonly string[]): Promise<void> {
    const path = paths.postern(space.name, 'ipaccesslists', 'block');
    const { spec } = list('Block', 2, entries, more);
    await space.admin.mergePatch(path, { spec });
    await waitFor(
      'the change to be programmed',
      () => space.admin.get(path),
      (now) => now !== undefined && isTrue(now, 'Programmed'),
    );
  }

  /** The objects stay. */
  stop(): void {
    this.pods.closeAllConnections();
    this.pods.close();
    for (const space of [this.system, ...this.spaces]) space.admin.close();
  }
}

/** Pods that load whatever is there at once, and need no process each. @param spaces by the last number of their addresses */
async function startPods(spaces: readonly TestNamespace[]): Promise<{ server: Server; port: number }> {
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const space = spaces[Number(request.socket.localAddress?.split('.').at(-1)) - 1];
    const path = paths.core(space?.name ?? '', 'configmaps', 'postern-default-index');
    const stored = await space?.admin.get(path);
    const loaded =
      stored === undefined ? undefined : index.parse(JSON.parse(stored.data['index.json'] ?? ''));
    const state = mtaStateOf({
      ...loaded,
      loadedAt: 0,
      routeProbes: { store: { reachable: true, reason: 'Connected', detail: '', checkedAt: 0 } },
    });
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(state));
  };
  const server = createServer((request, response) => {
    // At the end the way to the API server is closed under a request that an operator has left behind.
    answer(request, response).catch(() => response.destroy());
  });
  const port = await freePort('0.0.0.0');
  await new Promise<void>((resolve) => server.listen(port, '0.0.0.0', resolve));
  return { server, port };
}

async function addPod(space: TestNamespace, ip: string, port: number): Promise<void> {
  const { admin, name } = space;
  const set = await admin.create(paths.apps(name, 'statefulsets'), statefulSetObject('default', 1));
  const pod = z.looseObject({ metadata: z.looseObject({}) }).parse(podObject('mail-0', 'default', set));
  const annotations = { 'postern.dev/state-port': String(port) };
  await admin.create(paths.core(name, 'pods'), { ...pod, metadata: { ...pod.metadata, annotations } });
  await admin.mergePatch(paths.core(name, 'pods', 'mail-0/status'), {
    status: {
      phase: 'Running',
      podIP: ip,
      podIPs: [{ ip }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  });
}
