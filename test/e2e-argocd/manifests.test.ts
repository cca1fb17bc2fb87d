// Manifests of the six kinds in git, synced by the real Argo CD, judged by its status with our health checks.
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { kinds } from '../../operator/api/index.ts';
import { operatorAccount, operatorNamespace } from '../charts/install.ts';
import { type KubeObject, paths } from '../kubernetes/api.ts';
import { Kubelet } from '../kubernetes/kubelet.ts';
import { TestNamespace, waitFor } from '../kubernetes/namespace.ts';
import { waitForVerdict } from '../kubernetes/verdict.ts';
import { type NameServer, type Resolver, startNameServer, startResolver } from '../parts/bind.ts';
import { Application, type ApplicationStatus, healthOf } from './application.ts';
import { blockList, lostDomain, people, policy } from './manifests.ts';
import { Repository } from './repository.ts';
import { endAll, startWorld, type World, worldTimeoutMs } from './world.ts';

/** Milliseconds for Argo CD to notice on a busy machine. */
const deadlineMs = 90_000;

let world: World;
let server: NameServer;
let resolver: Resolver;
let space: TestNamespace;
let kubelet: Kubelet;
let repository: Repository;
let app: Application;

beforeAll(async () => {
  server = await startNameServer({
    '.': ['@ NS ns.example.com.', 'example.com. NS ns.example.com.', 'ns.example.com. A 192.0.2.53'],
    'example.com': ['@ NS ns.example.com.', 'ns A 192.0.2.53'],
  });
  resolver = await startResolver(server.server);
  const dns = { authoritativeServer: () => server.server };
  world = await startWorld({ resolvers: [resolver.server], dns });
  await world.controlPlane.createNamespace('mail');
  space = await TestNamespace.prepare(world.controlPlane, 'mail');
  await letOperatorIn();
  kubelet = await Kubelet.start(world.admin, 'mail', 'default', 1);
  await kubelet.addPod('mail-0');
  repository = await Repository.create({ ...people, ...policy });
}, worldTimeoutMs);

afterAll(() =>
  endAll([
    () => kubelet?.stop(),
    () => world?.stop(),
    () => resolver?.stop(),
    () => server?.stop(),
    () => repository?.remove(),
    () => space?.admin.close(),
  ]),
);

/** What the tenant chart does. */
async function letOperatorIn(): Promise<void> {
  await world.admin.create('/apis/rbac.authorization.k8s.io/v1/namespaces/mail/rolebindings', {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'mail-operator' },
    roleRef: {
      apiGroup: 'rbac.authorization.k8s.io',
      kind: 'ClusterRole',
      name: 'postern-namespace-operator',
    },
    subjects: [{ kind: 'ServiceAccount', name: operatorAccount, namespace: operatorNamespace }],
  });
}

function createApplication(name: string, path: string): Promise<Application> {
  const destination = { server: world.argoCd.server, namespace: 'mail' };
  return Application.create(world.admin, { name, destination, source: { repoURL: repository.url, path } });
}

const object = (plural: string) => world.admin.get(paths.postern('mail', plural, 'example-com'));

async function patch(plural: string, spec: object): Promise<void> {
  const args = ['-n', 'mail', 'patch', plural, 'example-com', '--type=merge', '-p', JSON.stringify({ spec })];
  const { code, stderr } = await world.controlPlane.kubectl('admin', args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
}

const blockedFrom = (address: string) =>
  waitForVerdict(kubelet.smtpOf('mail-0'), address, 'alice@example.com', /^550 5\.7\.1 /);
const takenFrom = (address: string) =>
  waitForVerdict(kubelet.smtpOf('mail-0'), address, 'alice@example.com', /^250 /);

/** `spec` and generation of every object of ours, by kind. */
async function specs(): Promise<Record<string, unknown>> {
  const found = await Promise.all(
    kinds.map(async ({ plural }) => {
      const one = await object(plural);
      return [plural, { generation: one?.metadata.generation, spec: one?.['spec'] }] as const;
    }),
  );
  return Object.fromEntries(found);
}

test('CH16 CH15: all waves are synced, and the app is Suspended while its DkimKey waits for DNS', async () => {
  app = await createApplication('mail', 'mail');
  await app.waitUntil(
    'to be synced',
    ({ sync, operationState }) => sync?.status === 'Synced' && operationState?.phase === 'Succeeded',
  );
  const status = await app.waitForHealth('Suspended');
  const { 'DkimKey/example-com': key, ...others } = healthOf(status);
  expect(key).toMatch(/^Suspended: RecordNotFound: .*one\._domainkey\.example\.com/);
  expect(Object.keys(others).sort()).toEqual(
    kinds
      .map(({ kind }) => `${kind}/example-com`)
      .filter((name) => !name.startsWith('DkimKey'))
      .sort(),
  );
  for (const [name, health] of Object.entries(others)) expect(health, name).toMatch(/^Healthy: /);
  await blockedFrom('127.0.0.20');
});

test('CH16: a later commit is synced while the DkimKey still waits', async () => {
  await app.waitForSync(await repository.commit(blockList(['127.0.0.20', '127.0.0.21'])));
  await blockedFrom('127.0.0.21');
  await app.waitForHealth('Suspended');
});

test('K7 CH15: asked to look again, as the action verify-dns does, the app is Healthy when the record is there', async () => {
  const record = z.object({ name: z.string(), chunks: z.array(z.string()) });
  const { dnsRecord } = z.object({ dnsRecord: record }).parse((await object('dkimkeys'))?.status);
  const text = dnsRecord.chunks.map((chunk) => `"${chunk}"`).join(' ');
  await server.update(`update add ${dnsRecord.name}. 1 TXT ${text}`);
  await patch('dkimkeys', { verification: { requestId: 'now' } });
  const { sync } = await app.waitForHealth('Healthy');
  expect(sync?.status).toBe('Synced');
});

test('X27: what the operator writes is no drift: Synced in every refresh, and no sync of Argo CD', async () => {
  const before = await specs();
  const { operationState: operation } = await app.status();
  const seen: ApplicationStatus[] = [];
  const routePath = paths.postern('mail', 'routes', 'example-com');
  const stopped = new AbortController();
  const watching = app.watch(stopped.signal, (status) => seen.push(status));
  try {
    for (const how of ['normal', 'hard', 'normal'] as const) {
      // Conditions of the MailDomain and the Route turn with the pod; the finalizer is put back where it is taken away.
      await kubelet.removePod('mail-0');
      await space.waitForCondition('maildomains', 'example-com', 'MtaAvailable', /^Unknown\/NoReadyPods/);
      await app.refresh(how);
      await kubelet.addPod('mail-0');
      await space.waitForCondition('maildomains', 'example-com', 'MtaAvailable', /^True/);
      await world.admin.mergePatch(routePath, { metadata: { finalizers: [] } });
      await waitFor(
        'the finalizer to be back',
        async () => (await object('routes'))?.metadata.finalizers,
        (finalizers) => finalizers?.includes('postern.dev/in-use') === true,
      );
      await app.refresh(how);
    }
    await app.waitForHealth('Healthy');
  } finally {
    stopped.abort();
    await watching;
  }
  expect(new Set(seen.map(({ reconciledAt }) => reconciledAt)).size).toBeGreaterThan(3);
  expect(new Set(seen.map(({ sync }) => sync?.status))).toEqual(new Set(['Synced']));
  expect((await app.status()).operationState?.startedAt).toBe(operation?.startedAt);
  expect(await specs()).toEqual(before);
});

test('X27: an edit by hand is healed, in the object and on the wire', async () => {
  const before = await object('ipaccesslists');
  await patch('ipaccesslists', { addresses: ['127.0.0.22'], enforcement: 'Audit' });
  const healed = await waitFor(
    'the edit to be taken back',
    () => object('ipaccesslists'),
    (now) => now?.metadata.generation === (before?.metadata.generation ?? 0) + 2,
    deadlineMs,
  );
  expect(healed?.['spec']).toEqual(before?.['spec']);
  await takenFrom('127.0.0.22');
  await blockedFrom('127.0.0.20');
  const { sync } = await app.waitForHealth('Healthy');
  expect(sync?.status).toBe('Synced');
});

test('X27: what git says nothing of is left alone: a field of an object, and one more reference', async () => {
  const domainRefs = [{ name: 'example-com' }, { name: 'other' }];
  await patch('inboundgateways', { suspend: true });
  await patch('ipaccesslists', { domainRefs });
  for (const how of ['normal', 'hard'] as const) expect((await app.refresh(how)).sync?.status).toBe('Synced');
  expect((await object('inboundgateways'))?.['spec']).toMatchObject({ suspend: true });
  expect((await object('ipaccesslists'))?.['spec']).toMatchObject({ domainRefs });
  await patch('inboundgateways', { suspend: false });
  await patch('ipaccesslists', { domainRefs: [{ name: 'example-com' }] });
  await app.waitForHealth('Healthy');
});

test('CH15: an object that somebody has to mend makes the app Degraded, with our message', async () => {
  await repository.commit(lostDomain);
  const lost = await createApplication('lost', 'lost');
  const status = await lost.waitForHealth('Degraded');
  expect(healthOf(status)['MailDomain/lost']).toMatch(/^Degraded: MtaNotFound: .*nowhere/);
  expect(status.sync?.status).toBe('Synced');
  await lost.delete();
  expect(await world.admin.get(paths.postern('mail', 'maildomains', 'lost'))).toBeUndefined();
});

test('CH16 R3: pruning goes from the DkimKey to the Route in use, and ends by itself', async () => {
  const gone: KubeObject[] = [];
  const stopped = new AbortController();
  const watching = kinds.map(({ plural }) =>
    world.admin.watch(paths.postern('mail', plural), stopped.signal, (one, type) => {
      if (type === 'DELETED') gone.push(one);
    }),
  );
  try {
    const nothing = Object.fromEntries(Object.keys(policy).map((path) => [path, undefined]));
    await app.waitForSync(await repository.commit(nothing));
    await waitFor(
      'all six to be seen going',
      () => gone.length,
      (count) => count >= kinds.length,
    );
  } finally {
    stopped.abort();
    await Promise.all(watching);
  }
  const inOrder = gone
    .toSorted((a, b) => Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion))
    .map((one) => String(one['kind']));
  expect([inOrder[0], inOrder.slice(1, 4).sort(), inOrder[4], inOrder[5]]).toEqual([
    'DkimKey',
    ['InboundGateway', 'IpAccessList', 'TlsPolicy'],
    'MailDomain',
    'Route',
  ]);
  expect((await app.waitForHealth('Healthy')).resources.map(({ kind }) => kind)).toEqual(['ConfigMap']);
});
