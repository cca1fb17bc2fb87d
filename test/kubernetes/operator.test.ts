// What the operator does beside the way from an object to the wire: whom it serves, and what it leaves alone.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import * as z from 'zod';
import type { RunningOperator } from '../../operator/operator.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { blockList, mailDomain } from '../faults/fixtures.ts';
import { recordFaults } from '../faults/record.ts';
import { Api, paths } from './api.ts';
import { Kubelet } from './kubelet.ts';
import { crdFolder, TestNamespace, tenant, waitFor } from './namespace.ts';
import { startOperatorIn } from './operator.ts';
import { grantWholeCluster, letOperatorIn, revokeWholeCluster } from './whole-cluster.ts';

const operatorMain = fileURLToPath(new URL('../../operator/main.ts', import.meta.url));

const cluster = useControlPlane({ identities: [tenant] });
let space: TestNamespace;
let running: RunningOperator[];
let kubelets: Kubelet[];

beforeAll(() => cluster.current.installCrds(crdFolder));
beforeEach(async () => {
  running = [];
  kubelets = [];
  space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('operator'));
});
afterEach(async () => {
  await Promise.all(running.map((operator) => operator.stop()));
  await Promise.all(kubelets.map((kubelet) => kubelet.stop()));
  space.admin.close();
});

async function startOperator(
  ...args: Parameters<typeof startOperatorIn> extends [unknown, ...infer Rest] ? Rest : never
): Promise<RunningOperator> {
  const operator = await startOperatorIn(space, ...args);
  running.push(operator);
  return operator;
}

async function startMta(mta: string, labels: Record<string, string> = {}): Promise<Kubelet> {
  const kubelet = await Kubelet.start(space.admin, space.name, mta, 1, labels);
  kubelets.push(kubelet);
  return kubelet;
}

const route = (name: string) => ({
  apiVersion: 'postern.dev/v1alpha1',
  kind: 'Route',
  metadata: { name },
  spec: { host: '127.0.0.1', port: 2599, protocol: 'SMTP', tls: { mode: 'Disabled' } },
});

test('OP5: an operator of another class neither renders nor says a word', async () => {
  await startMta('default', { 'postern.dev/class': 'theirs' });
  await startMta('ours');
  await space.settings('ours');
  await startOperator();
  await space.apply(
    mailDomain('foreign', 'foreign.example'),
    mailDomain('own', 'own.example', { mta: 'ours' }),
    blockList('all', ['192.0.2.1']),
  );
  await space.waitForCondition('maildomains', 'own', 'Accepted', /^True/);
  const foreign = await space.admin.get(paths.postern(space.name, 'maildomains', 'foreign'));
  expect(JSON.stringify(foreign?.status)).not.toContain('"True"');
  expect(await space.condition('maildomains', 'foreign', 'Accepted')).toBe(
    'Unknown/Pending: Waiting for the operator',
  );
  expect(
    await space.admin.get(paths.core(space.name, 'configmaps', 'postern-default-index')),
  ).toBeUndefined();
  expect(await space.admin.get(paths.core(space.name, 'configmaps', 'postern-ours-index'))).toBeDefined();
});

test('OP2: of two operators one leads; when it goes, the other takes over at once', async () => {
  await startMta('default');
  const first = await startOperatorIn(space, { leaderElect: true });
  await waitFor(
    'the first to lead',
    () => first.isReady(),
    (ready) => ready,
  );
  const second = await startOperator({ leaderElect: true });
  await space.apply(mailDomain('a', 'a.example'));
  await space.waitForCondition('maildomains', 'a', 'Accepted', /^True/);
  expect(second.isReady()).toBe(false);
  expect((await fetch(`http://127.0.0.1:${second.httpPort}/readyz`)).status).toBe(200);
  await first.stop();
  await waitFor(
    'the second to lead',
    () => second.isReady(),
    (ready) => ready,
  );
  await space.apply(mailDomain('b', 'b.example'));
  await space.waitForCondition('maildomains', 'b', 'Accepted', /^True/);
});

test('OP3: an operator of the whole cluster sees pods and Secrets only where a RoleBinding lets it', async () => {
  const other = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('other'));
  await grantWholeCluster(space);
  await startMta('default');
  await startOperator({ namespaces: 'all', logLevel: 'silent' });
  await other.apply(mailDomain('b', 'b.example'));
  await space.apply(mailDomain('a', 'a.example'));
  await space.waitForCondition('maildomains', 'a', 'Accepted', /^True/);
  expect(await other.condition('maildomains', 'b', 'Accepted')).toBe(
    'Unknown/Pending: Waiting for the operator',
  );
  await letOperatorIn(other, space);
  await other.waitForCondition('maildomains', 'b', 'Accepted', /^False\/MtaNotFound/, 30_000);
  await revokeWholeCluster(space);
  other.admin.close();
});

test('X24: an operator that may see nothing more of a namespace lets its Routes go, but none that may still be in use', async () => {
  // As a namespace is left when it is deleted: without the tenant's RoleBinding, with Routes that wait for the finalizer.
  const other = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('leaving'));
  await grantWholeCluster(space);
  await startOperator({ namespaces: 'all', logLevel: 'silent' });
  const routes = paths.postern(other.name, 'routes');
  for (const name of ['mailbox', 'spare']) {
    const { metadata, ...rest } = route(name);
    await other.admin.create(routes, {
      ...rest,
      metadata: { ...metadata, finalizers: ['postern.dev/in-use'] },
    });
  }
  await other.apply(mailDomain('a', 'a.example', { mailbox: { routeRef: { name: 'mailbox' } } }));
  await other.kubectl(['delete', 'routes.postern.dev', '--all', '--wait=false']);
  // MailDomain a may use one of them; the change makes the operator look.
  await other.apply(mailDomain('b', 'b.example'));
  expect(await other.admin.list(routes)).toHaveLength(2);
  await other.kubectl(['delete', 'maildomain', 'a', 'b']);
  await waitFor(
    'the Routes to be gone',
    () => other.admin.list(routes),
    (left) => left.length === 0,
  );
  await revokeWholeCluster(space);
  other.admin.close();
  recordFaults(1);
});

test.each([
  ['sees it', false],
  ['comes to it only then', true],
])(
  'K5: helm uninstall takes the RoleBinding before a DkimKey with secretRetention Delete; an operator that %s lets it go',
  async (_, late) => {
    const other = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('uninstalled'));
    await grantWholeCluster(space);
    await letOperatorIn(other, space);
    kubelets.push(await Kubelet.start(other.admin, other.name, 'default', 1));
    const first = await startOperator({ namespaces: 'all', logLevel: 'silent' });
    const key = { domainRef: { name: 'a' }, verification: { mode: 'OnRequest' }, secretRetention: 'Delete' };
    await other.apply(mailDomain('a', 'a.example'), {
      apiVersion: 'postern.dev/v1alpha1',
      kind: 'DkimKey',
      metadata: { name: 'key' },
      spec: key,
    });
    const finalizers = async () =>
      (await other.admin.get(paths.postern(other.name, 'dkimkeys', 'key')))?.metadata.finalizers;
    await other.waitForCondition('dkimkeys', 'key', 'KeyGenerated', /^True/);
    await waitFor('the finalizer', finalizers, (list) => list?.length === 1);

    if (late) await first.stop();
    await other.admin.remove(
      `/apis/rbac.authorization.k8s.io/v1/namespaces/${other.name}/rolebindings/let-it`,
    );
    const secretPath = paths.core(other.name, 'secrets', 'postern-dkim-key');
    const asOperator = await Api.from(await space.operatorKubeconfig());
    await waitFor(
      'the right to be gone',
      () => asOperator.get(secretPath).then(() => 'read', String),
      (answer) => /forbidden/i.test(answer),
    );
    asOperator.close();
    await other.kubectl(['delete', 'maildomain/a', 'dkimkey/key', '--wait=false']);
    if (late) await startOperator({ namespaces: 'all', logLevel: 'silent' });
    await waitFor('the DkimKey to be gone', finalizers, (list) => list === undefined);
    expect((await other.admin.get(secretPath))?.data).toHaveProperty(['tls.key']);
    await revokeWholeCluster(space);
    other.admin.close();
  },
);

test('OP12: the program ends within 10 s of SIGTERM, with code 0', async () => {
  await startMta('default');
  const args = [
    operatorMain,
    '--kubeconfig',
    await space.operatorKubeconfig(),
    '--namespaces',
    space.name,
    '--http',
    '127.0.0.1:0',
    '--log-level',
    'silent',
  ];
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  try {
    await space.apply(mailDomain('a', 'a.example'));
    await space.waitForCondition('maildomains', 'a', 'Accepted', /^True/);
    const exited = once(child, 'exit', { signal: AbortSignal.timeout(10_000) });
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
  } finally {
    child.kill('SIGKILL');
  }
});

test('R4 OP13: a Route in use keeps its finalizer, and is gone when nothing names it any more', async () => {
  await startMta('default');
  await startOperator({ slowPollMs: 500 });
  await space.apply(
    route('mailbox'),
    route('idle'),
    mailDomain('a', 'a.example', { mailbox: { routeRef: { name: 'mailbox' } } }),
  );
  const finalizers = async (name: string) =>
    (await space.admin.get(paths.postern(space.name, 'routes', name)))?.metadata.finalizers;
  await waitFor(
    'the finalizer',
    () => finalizers('mailbox'),
    (list) => list?.includes('postern.dev/in-use') === true,
  );
  expect(await finalizers('idle')).toEqual([]);
  await space.kubectl(['delete', 'route', 'mailbox', 'idle', '--wait=false']);
  await waitFor(
    'the idle Route to be gone',
    () => finalizers('idle'),
    (list) => list === undefined,
  );
  expect(
    (await space.admin.get(paths.postern(space.name, 'routes', 'mailbox')))?.metadata.deletionTimestamp,
  ).toBeDefined();
  await space.kubectl(['delete', 'maildomain', 'a']);
  await waitFor(
    'the Route to be gone',
    () => finalizers('mailbox'),
    (list) => list === undefined,
  );
});

test('R3: a Route in use that is to be deleted goes when postern.dev/allow-delete says so, paused or not', async () => {
  await startMta('default');
  await startOperator({ slowPollMs: 500 });
  await space.apply(
    route('mailbox'),
    route('archive'),
    mailDomain('a', 'a.example', {
      mailbox: { routeRef: { name: 'mailbox' } },
      outboundRouting: [{ match: 'External', sendCopyTo: { name: 'archive' } }],
    }),
  );
  const finalizers = async (name: string) =>
    (await space.admin.get(paths.postern(space.name, 'routes', name)))?.metadata.finalizers;
  for (const name of ['mailbox', 'archive']) {
    await waitFor(
      `the finalizer of ${name}`,
      () => finalizers(name),
      (list) => list?.includes('postern.dev/in-use') === true,
    );
  }
  // Any other value keeps it: this one lets it go when nothing names it any more.
  await space.kubectl(['annotate', 'routes.postern.dev', 'mailbox', 'postern.dev/allow-delete=when-unused']);
  await space.kubectl(['annotate', 'routes.postern.dev', 'archive', 'postern.dev/paused=true']);
  await space.kubectl(['delete', 'routes.postern.dev', 'mailbox', 'archive', '--wait=false']);
  await space.kubectl(['annotate', 'routes.postern.dev', 'archive', 'postern.dev/allow-delete=true']);
  await waitFor(
    'the paused Route to be gone',
    () => finalizers('archive'),
    (list) => list === undefined,
  );
  expect(await finalizers('mailbox')).toEqual(['postern.dev/in-use']);
  await space.kubectl([
    'annotate',
    '--overwrite',
    'routes.postern.dev',
    'mailbox',
    'postern.dev/allow-delete=true',
  ]);
  await waitFor(
    'the Route to be gone',
    () => finalizers('mailbox'),
    (list) => list === undefined,
  );
  await space.waitForCondition('maildomains', 'a', 'ResolvedRefs', /^False\/RouteNotFound/);
});

test('G16: a paused Route keeps the password of the Secret that it named before', async () => {
  await startMta('default');
  await startOperator({ slowPollMs: 300 });
  const password = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/basic-auth',
    metadata: { name, labels: { 'postern.dev/use': 'route-auth' } },
    stringData: { username: 'postern', password: `word-of-${name}` },
  });
  const relay = (secret: string, annotations: Record<string, string>) => ({
    ...route('relay'),
    metadata: { name: 'relay', annotations },
    spec: { host: 'relay.example.net', tls: { mode: 'Required' }, authSecretRef: { name: secret } },
  });
  await space.apply(mailDomain('a', 'a.example'), password('old'), password('new'), relay('old', {}));
  const delivered = async () => {
    const secrets = await space.admin.list(paths.core(space.name, 'secrets'));
    return secrets
      .filter(({ metadata }) => /^postern-default-secret-[0-9]$/.test(metadata.name))
      .flatMap(({ data }) => Object.values(data))
      .map((base64) => gunzipSync(Buffer.from(base64, 'base64')).toString())
      .join();
  };
  await waitFor('the old password', delivered, (text) => text.includes('word-of-old'));
  await space.apply(relay('new', { 'postern.dev/paused': 'true' }));
  await space.waitForCondition('routes', 'relay', 'Accepted', /Paused/);
  await space.apply(blockList('more', ['192.0.2.1']));
  await space.waitForCondition('ipaccesslists', 'more', 'Accepted', /^True/);
  expect(await space.condition('routes', 'relay', 'ResolvedRefs')).toMatch(/^True/);
  expect(await delivered()).toContain('word-of-old');
  expect(await delivered()).not.toContain('word-of-new');
  await space.apply(relay('new', {}));
  await waitFor(
    'the new password alone',
    delivered,
    (text) => text.includes('word-of-new') && !text.includes('word-of-old'),
  );
});

test('OP10: /metrics has each condition of each object, by its status, until the object is gone', async () => {
  await startMta('default');
  await startMta('foreign', { 'postern.dev/class': 'theirs' });
  const operator = await startOperator({ slowPollMs: 300 });
  const conditions = async () => {
    const text = await (await fetch(`http://127.0.0.1:${operator.httpPort}/metrics`)).text();
    return [...text.matchAll(/^postern_condition\{(.*)\} 1$/gm)].map(([, labels = '']) => labels).sort();
  };
  const seriesOf = (name: string, type: string) => async () =>
    (await conditions())
      .filter((labels) => labels.includes(`name="${name}"`) && labels.includes(`type="${type}"`))
      .map((labels) => labels.replace(/^.*status=/, ''));
  const a = mailDomain('a', 'a.example', { mailbox: { routeRef: { name: 'mailbox' } } });
  await space.apply(a, mailDomain('b', 'b.example', { mta: 'foreign' }));
  await waitFor(
    'an unresolved reference',
    seriesOf('a', 'ResolvedRefs'),
    (found) => found.join() === '"False"',
  );
  await space.apply(route('mailbox'));
  await waitFor('a resolved one', seriesOf('a', 'ResolvedRefs'), (found) => found.join() === '"True"');
  const all = await conditions();
  expect(all).toContain(`kind="MailDomain",namespace="${space.name}",name="a",type="Accepted",status="True"`);
  // What the operator of another class reports is not told twice.
  expect(all.filter((labels) => labels.includes('name="b"'))).toEqual([]);
  const stored = await space.admin.get(paths.postern(space.name, 'maildomains', 'a'));
  const told = all.filter((labels) => labels.includes('kind="MailDomain"'));
  expect(told).toHaveLength(
    z.object({ conditions: z.array(z.unknown()) }).parse(stored?.status).conditions.length,
  );
  await space.kubectl(['delete', 'maildomain', 'a']);
  await waitFor(
    'the series to be gone',
    conditions,
    (now) => !now.some((labels) => labels.includes('kind="MailDomain"')),
  );
});

test('changed settings roll the StatefulSet, by two annotations of its template and only when a pod runs with others', async () => {
  const kubelet = await startMta('default');
  await startOperator({ slowPollMs: 300 });
  await kubelet.addPod('mail-0');
  await space.apply(mailDomain('a', 'a.example'));
  await space.waitForCondition('maildomains', 'a', 'Ready', /^True/, 30_000);
  const template = async () => {
    const object = await space.admin.get(paths.apps(space.name, 'statefulsets', 'mail-default'));
    return JSON.stringify(object?.['spec']);
  };
  // An install starts with what is rendered: there is nothing to roll for.
  expect(await template()).not.toContain('postern.dev/config-hash');
  await space.admin.mergePatch(paths.core(space.name, 'configmaps', 'postern-mta-default'), {
    data: { 'mta.yaml': 'heloName: mx2.example.com\n' },
  });
  const rolled = await waitFor('the template to ask for a roll', template, (text) =>
    text.includes('postern.dev/config-hash'),
  );
  expect(rolled).toContain('"postern.dev/rolled-for":"configmap/postern-mta-default"');
  await kubelet.removePod('mail-0');
  await kubelet.addPod('mail-0');
  await space.waitForCondition('maildomains', 'a', 'Ready', /^True/, 30_000);
  expect(await template()).toBe(rolled);
});

test('G6: a domain that the cluster admin gave to others is not taken', async () => {
  await space.admin.mergePatch(`/api/v1/namespaces/${space.name}`, {
    metadata: { annotations: { 'postern.dev/domains': 'a.example, *.mine.example' } },
  });
  await startMta('default');
  await startOperator();
  await space.apply(
    mailDomain('a', 'a.example'),
    mailDomain('sub', 'mail.mine.example'),
    mailDomain('squat', 'bank.example'),
  );
  await space.waitForCondition('maildomains', 'squat', 'Accepted', /^False\/DomainNotAllowed/);
  await space.waitForCondition('maildomains', 'a', 'Accepted', /^True/);
  await space.waitForCondition('maildomains', 'sub', 'Accepted', /^True/);
});

test('only pods that the StatefulSet owns speak for the MTA', async () => {
  const kubelet = await startMta('default');
  await startOperator({ slowPollMs: 300 });
  await kubelet.addPod('mail-0');
  await space.apply(mailDomain('a', 'a.example'));
  await space.waitForCondition('maildomains', 'a', 'Ready', /^True/, 30_000);
  const impostor = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'impostor', labels: { 'postern.dev/mta': 'default' } },
    spec: { containers: [{ name: 'x', image: 'x' }] },
  };
  await space.admin.create(paths.core(space.name, 'pods'), impostor);
  const status = {
    status: {
      podIP: '127.9.9.9',
      podIPs: [{ ip: '127.9.9.9' }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
  await space.admin.mergePatch(paths.core(space.name, 'pods', 'impostor/status'), status);
  await space.apply(blockList('block', ['192.0.2.1']));
  await space.waitForCondition('ipaccesslists', 'block', 'Ready', /^True/);
  const pod = await space.admin.get(paths.core(space.name, 'pods', 'impostor'));
  expect(pod?.metadata.annotations).toEqual({});
});
