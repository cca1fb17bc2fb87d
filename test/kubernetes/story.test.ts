// From `kubectl apply` to a verdict on the wire and a true status, against a real API server, as the identities that a cluster has.
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kinds } from '../../operator/api/index.ts';
import type { RunningOperator } from '../../operator/operator.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { paths } from './api.ts';
import { Kubelet } from './kubelet.ts';
import { crdFolder, TestNamespace, tenant, waitFor } from './namespace.ts';
import { startOperatorIn } from './operator.ts';
import { verdict, waitForVerdict } from './verdict.ts';

const manifests = fileURLToPath(new URL('../../examples/quickstart/manifests', import.meta.url));
const everything = kinds.map(({ plural }) => plural).join(',');

const cluster = useControlPlane({ identities: [tenant] });
let space: TestNamespace;
/** One MTA with a Maildir, and one with two pods. */
let single: Kubelet;
let pair: Kubelet;
let operator: RunningOperator;
/** Milliseconds by which the operator's clock is ahead. */
let ahead = 0;

beforeAll(async () => {
  await cluster.current.installCrds(crdFolder);
  space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('story'));
  await space.settings('pair');
  single = await Kubelet.start(space.admin, space.name, 'default', 1);
  pair = await Kubelet.start(space.admin, space.name, 'pair', 2);
  await single.addPod('mail-0');
  await startOperator();
});

afterAll(async () => {
  await operator?.stop();
  await single?.stop();
  await pair?.stop();
  space?.admin.close();
});

async function startOperator(): Promise<void> {
  operator = await startOperatorIn(space, { slowPollMs: 400, resyncMs: 700, now: () => Date.now() + ahead });
}

const smtpOf = (pod: string) => (pod.startsWith('pair') ? pair : single).smtpOf(pod);

/** Waits until kubelet calls the pod ready. */
async function waitForPod(pod: string): Promise<void> {
  const status = async () =>
    JSON.stringify((await space.admin.get(paths.core(space.name, 'pods', pod)))?.status);
  await waitFor(
    `pod ${pod} to be ready`,
    status,
    (text) =>
      text?.includes('"type":"Ready","status":"True"') === true ||
      /"status":"True","type":"Ready"/.test(text ?? ''),
  );
}

/** Reconciles so far, as the operator counts them. */
async function reconciles(): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${operator.httpPort}/metrics`)).text();
  return Number(/^postern_reconcile_total\{[^}]*result="ok"\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

async function waitForReconciles(count: number): Promise<void> {
  const before = await reconciles();
  await waitFor(`${count} more reconciles`, reconciles, (now) => now >= before + count);
}

test('ST9: the quickstart, applied by a tenant, becomes Ready', async () => {
  const files = (await readdir(manifests))
    .filter((file) => file !== 'mta.yaml')
    .flatMap((file) => ['-f', `${manifests}/${file}`]);
  await space.kubectl(['apply', ...files]);
  await space.kubectl(['wait', '--for=condition=Ready', everything, '--all', '--timeout=45s']);
});

test('A1 A10 B1: the verdicts on the wire are those of the manifests', async () => {
  expect(await verdict(smtpOf('mail-0'), '127.0.0.20', 'alice@example.com')).toMatch(
    /^550 5\.7\.1 .*\(ref [0-9A-Z]{8}\)$/,
  );
  expect(await verdict(smtpOf('mail-0'), '127.0.0.30', 'alice@example.com')).toMatch(/^250 /);
  expect(await verdict(smtpOf('mail-0'), '127.0.0.30', 'carol@example.org')).toMatch(/^550 5\.7\.1 /);
  expect(await verdict(smtpOf('mail-0'), '127.0.0.99', 'nobody@example.com')).toMatch(/^550 5\.1\.1 /);
  expect(await verdict(smtpOf('mail-0'), '127.0.0.99', 'someone@foreign.example')).toMatch(/^550 5\.7\.1 /);
});

test('ST2: an edited list acts on the wire, and its status says so', async () => {
  const patch = JSON.stringify({ spec: { addresses: ['127.0.0.10', '127.0.0.30', '127.0.0.20'] } });
  await space.kubectl(['patch', 'ipaccesslist', 'partners', '--type=merge', '-p', patch]);
  await waitForVerdict(smtpOf('mail-0'), '127.0.0.20', 'alice@example.com', /^250 /);
  await space.waitForCondition('ipaccesslists', 'partners', 'Programmed', /^True\/Programmed/);
});

test('an edited ConfigMap that policy names acts on the wire', async () => {
  expect(await verdict(smtpOf('mail-0'), '127.0.0.99', 'erin@example.org')).toMatch(/^550 5\.1\.1 /);
  await space.kubectl([
    'patch',
    'configmap',
    'people',
    '--type=merge',
    '-p',
    JSON.stringify({ data: { recipients: 'carol\nerin\n' } }),
  ]);
  await waitForVerdict(smtpOf('mail-0'), '127.0.0.99', 'erin@example.org', /^250 /);
});

test('G7: while one of two pods is held back, Programmed names it; when it is back, all is true', async () => {
  await pair.addPod('pair-0');
  await pair.addPod('pair-1');
  await space.apply(
    route('mailbox', { host: '127.0.0.1', port: 2599 }),
    mailDomain('shared', 'shared.example'),
    blockList('shared-block', 'shared', ['192.0.2.1']),
  );
  await space.waitForCondition('ipaccesslists', 'shared-block', 'Ready', /^True/, 30_000);
  for (const pod of ['pair-0', 'pair-1']) await waitForPod(pod);
  for (const pod of ['pair-0', 'pair-1'])
    expect(await verdict(smtpOf(pod), '127.0.0.60', 'bob@shared.example')).toMatch(/^250 /);

  pair.hold('pair-1');
  await space.kubectl([
    'patch',
    'ipaccesslist',
    'shared-block',
    '--type=merge',
    '-p',
    JSON.stringify({ spec: { addresses: ['127.0.0.60'] } }),
  ]);
  await waitForVerdict(smtpOf('pair-0'), '127.0.0.60', 'bob@shared.example', /^550 5\.7\.1 /);
  const partly = await space.waitForCondition(
    'ipaccesslists',
    'shared-block',
    'Programmed',
    /^False\/PartiallyProgrammed/,
  );
  expect(partly).toContain('pair-1');
  expect(partly).not.toContain('pair-0');
  expect(await verdict(smtpOf('pair-1'), '127.0.0.60', 'bob@shared.example')).toMatch(/^250 /);
  // The domain itself was programmed before, and stays so for the grace of a minute.
  expect(await space.condition('maildomains', 'shared', 'Programmed')).toMatch(/^True/);
  ahead += 61_000;
  await space.waitForCondition('maildomains', 'shared', 'Programmed', /^False\/PartiallyProgrammed.*pair-1/);

  pair.release('pair-1');
  await waitForVerdict(smtpOf('pair-1'), '127.0.0.60', 'bob@shared.example', /^550 5\.7\.1 /);
  await space.waitForCondition('ipaccesslists', 'shared-block', 'Ready', /^True/);
  await space.waitForCondition('maildomains', 'shared', 'Ready', /^True/);
});

test('ST4, ST5, ST7, Q10: while nothing changes, nothing is written: not by resyncs, not by a restart', async () => {
  await waitForReconciles(3);
  const before = await space.versions();
  // Every 0.4 s, and a full LIST every 0.7 s.
  await waitForReconciles(8);
  expect(await space.versions()).toEqual(before);

  await operator.stop();
  await startOperator();
  await waitFor(
    'the operator to be ready',
    () => operator.isReady(),
    (ready) => ready,
  );
  await waitForReconciles(3);
  expect(await space.versions()).toEqual(before);
});

test('CRD12: the operator writes neither spec nor metadata of what a tenant wrote', async () => {
  const lists = await space.admin.list(paths.postern(space.name, 'ipaccesslists'));
  for (const { metadata } of lists) {
    const managers = Array.isArray(metadata['managedFields']) ? metadata['managedFields'] : [];
    const own = managers.filter(({ manager }) => manager === 'postern');
    expect(own.map(({ subresource, fieldsV1 }) => [subresource, Object.keys(fieldsV1)])).toEqual([
      ['status', ['f:status']],
    ]);
  }
});

test('when the tenant deletes everything, what was rendered for it goes, and the private key stays', async () => {
  const keys = (await space.admin.list(paths.core(space.name, 'secrets'))).filter(({ metadata }) =>
    metadata.name.startsWith('postern-dkim-'),
  );
  expect(keys).toHaveLength(1);
  await space.kubectl(['delete', everything, '--all', '--timeout=30s']);
  await waitForVerdict(smtpOf('pair-0'), '127.0.0.99', 'bob@shared.example', /^451 4\.3\.5 /);
  const names = async (resource: string) =>
    (await space.admin.list(paths.core(space.name, resource))).map(({ metadata }) => metadata.name);
  const isShard = (name: string) => /^postern-(default|pair)-(secret-)?\d+$/.test(name);
  await waitFor(
    'the shards to be gone',
    () => names('configmaps'),
    (all) => !all.some(isShard),
  );
  const secrets = await waitFor(
    'the secret shards to be gone',
    () => names('secrets'),
    (all) => !all.some(isShard),
  );
  expect(secrets).toContain(keys[0]?.metadata.name);
});

function route(name: string, spec: object): object {
  return {
    apiVersion: 'postern.dev/v1alpha1',
    kind: 'Route',
    metadata: { name },
    spec: { protocol: 'SMTP', tls: { mode: 'Disabled' }, ...spec },
  };
}

function mailDomain(name: string, domain: string): object {
  const recipients = { mode: 'List', addresses: ['bob'] };
  return {
    apiVersion: 'postern.dev/v1alpha1',
    kind: 'MailDomain',
    metadata: { name },
    spec: { domain, mta: 'pair', mailbox: { routeRef: { name: 'mailbox' } }, recipients },
  };
}

function blockList(name: string, domain: string, addresses: string[]): object {
  return {
    apiVersion: 'postern.dev/v1alpha1',
    kind: 'IpAccessList',
    metadata: { name },
    spec: { action: 'Block', domainRefs: [{ name: domain }], addresses },
  };
}
