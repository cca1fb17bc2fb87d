// The tenant chart in git, rendered and synced by the real Argo CD, rolled by the operator.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import * as z from 'zod';
import { chartFolder } from '../charts/helm.ts';
import { paths } from '../kubernetes/api.ts';
import { waitFor } from '../kubernetes/namespace.ts';
import { Application, type ApplicationStatus, healthOf } from './application.ts';
import { Repository } from './repository.ts';
import { StatefulSetController } from './stateful-set.ts';
import { endAll, startWorld, type World, worldTimeoutMs } from './world.ts';

/** Milliseconds for Argo CD to notice on a busy machine. */
const deadlineMs = 90_000;

let world: World;
let repository: Repository;
let app: Application;
let controller: StatefulSetController;

beforeAll(async () => {
  world = await startWorld();
  await world.controlPlane.createNamespace('tenant-a');
  repository = await Repository.create(values('mx.example.com', ['192.0.2.1']));
  await repository.copy(chartFolder('postern-tenant'), 'charts/postern-tenant');
}, worldTimeoutMs);

afterAll(() => endAll([() => controller?.stop(), () => world?.stop(), () => repository?.remove()]));

function values(heloName: string, addresses: readonly string[]): Record<string, string> {
  const domainRefs = [{ name: 'example-com' }];
  return {
    'mail.yaml': stringify({
      settings: { heloName },
      objects: {
        routes: { mailbox: { host: '127.0.0.1', port: 2599, protocol: 'SMTP', tls: { mode: 'Disabled' } } },
        mailDomains: {
          'example-com': {
            domain: 'example.com',
            mailbox: { routeRef: { name: 'mailbox' } },
            recipients: { mode: 'List', addresses: ['bob'] },
          },
        },
        ipAccessLists: { spammers: { action: 'Block', domainRefs, addresses } },
        dkimKeys: { 'example-com': { domainRef: domainRefs[0], verification: { mode: 'OnRequest' } } },
      },
    }),
  };
}

const template = z.object({
  template: z.looseObject({
    metadata: z.looseObject({ annotations: z.record(z.string(), z.string()).default({}) }),
  }),
});

/** Generation of the StatefulSet, and what the operator has written on its template. */
async function rolled(): Promise<{ generation: number | undefined; hash: string | undefined }> {
  const object = await world.admin.get(paths.apps('tenant-a', 'statefulsets', 'mail'));
  const { annotations } = template.parse(object?.['spec']).template.metadata;
  return { generation: object?.metadata.generation, hash: annotations['postern.dev/config-hash'] };
}

/** What the disruption controller says before there is a pod. Argo CD waits for it in the first wave, and the pods are in a later one. */
async function reportDisruptionBudget(): Promise<void> {
  const path = '/apis/policy/v1/namespaces/tenant-a/poddisruptionbudgets/mail';
  await waitFor(
    'the PodDisruptionBudget',
    () => world.admin.get(path),
    (object) => object !== undefined,
    deadlineMs,
  );
  const counts = { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 };
  const condition = {
    type: 'DisruptionAllowed',
    status: 'False',
    reason: 'InsufficientPods',
    message: '',
    lastTransitionTime: new Date().toISOString(),
  };
  await world.admin.mergePatch(`${path}/status`, {
    status: { ...counts, observedGeneration: 1, conditions: [condition] },
  });
}

test('CH16: the tenant chart is synced in its waves: every object is Healthy, and the DkimKey waits', async () => {
  app = await Application.create(world.admin, {
    name: 'tenant-a',
    destination: { server: world.argoCd.server, namespace: 'tenant-a' },
    source: {
      repoURL: repository.url,
      path: 'charts/postern-tenant',
      helm: { releaseName: 'mail', valueFiles: ['../../mail.yaml'] },
    },
  });
  await reportDisruptionBudget();
  controller = await StatefulSetController.start(world.admin, 'tenant-a', 'mail', 'default');
  await app.waitUntil(
    'to be synced',
    ({ sync, operationState }) => sync?.status === 'Synced' && operationState?.phase === 'Succeeded',
  );
  const { 'DkimKey/example-com': key, ...others } = healthOf(await app.waitForHealth('Suspended'));
  expect(key).toMatch(/^Suspended: AwaitingRequest: /);
  for (const [name, health] of Object.entries(others)) expect(health, name).toMatch(/^Healthy: /);
  expect(Object.keys(others)).toEqual(
    expect.arrayContaining([
      'StatefulSet/mail',
      'MailDomain/example-com',
      'Route/mailbox',
      'IpAccessList/spammers',
    ]),
  );
  // An install starts with what is rendered: there is nothing to roll for.
  expect((await rolled()).hash).toBeUndefined();
});

test('CH17 X27: a roll by the operator is no drift: Synced all the while, and nothing is taken back', async () => {
  await app.waitForSync(await repository.commit(values('mx2.example.com', ['192.0.2.1'])));
  const { hash } = await waitFor(
    'the operator to roll the pods',
    rolled,
    (now) => now.hash !== undefined,
    deadlineMs,
  );
  const seen: ApplicationStatus[] = [];
  const stopped = new AbortController();
  const watching = app.watch(stopped.signal, (status) => seen.push(status));
  let before: Awaited<ReturnType<typeof rolled>>;
  try {
    await app.refresh();
    await app.waitForHealth('Suspended');
    before = await rolled();
    for (const how of ['hard', 'normal', 'hard'] as const) await app.refresh(how);
  } finally {
    stopped.abort();
    await watching;
  }
  expect(new Set(seen.map(({ sync }) => sync?.status))).toEqual(new Set(['Synced']));
  expect(await rolled()).toEqual(before);
  expect(before.hash).toBe(hash);
});

test('CH17: a later sync leaves the mark of the roll where it is', async () => {
  const before = await rolled();
  await app.waitForSync(await repository.commit(values('mx2.example.com', ['192.0.2.1', '192.0.2.2'])));
  await app.waitForHealth('Suspended');
  expect(await rolled()).toEqual(before);
});
