// From a mail that nobody is told of to the status of its domain: summed over pods, over restarts, and rarely written.
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import type { RunningOperator } from '../../operator/operator.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { mailDomain } from '../faults/fixtures.ts';
import { type Sink, startSink } from '../wire/sink.ts';
import { message, SmtpClient } from '../wire/smtp-client.ts';
import { paths } from './api.ts';
import { Kubelet } from './kubelet.ts';
import { crdFolder, TestNamespace, tenant, waitFor } from './namespace.ts';
import { reconcilesOf, startOperatorIn } from './operator.ts';
import { waitForVerdict } from './verdict.ts';

const cluster = useControlPlane({ identities: [tenant] });
const none = { suppressedNdrs: 0, backscatterAvoided: 0, doubleBounces: 0, expired: 0 };
const pods = ['mail-0', 'mail-1'];

let space: TestNamespace;
let kubelet: Kubelet;
let operator: RunningOperator;
let sink: Sink;

beforeAll(async () => {
  sink = await startSink({ behaviour: { rcpt: () => '550 5.1.1 nobody is here' } });
  await cluster.current.installCrds(crdFolder);
  space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('ledger'));
  kubelet = await Kubelet.start(space.admin, space.name, 'default', pods.length);
  for (const pod of pods) await kubelet.addPod(pod);
  operator = await startOperatorIn(space, { slowPollMs: 400 });
  const mailbox = { routeRef: { name: 'store' } };
  const never = { match: 'External', target: 'Known', ...mailbox, ndr: 'Never', verifyRecipient: 'None' };
  await space.apply(
    {
      apiVersion: 'postern.dev/v1alpha1',
      kind: 'Route',
      metadata: { name: 'store' },
      spec: { host: '127.0.0.1', port: sink.port, protocol: 'SMTP', tls: { mode: 'Disabled' } },
    },
    mailDomain('never', 'never.example', { mailbox, inboundRouting: [never] }),
    mailDomain('quiet', 'quiet.example', { mailbox }),
  );
  for (const pod of pods) await loaded(pod);
});

afterAll(async () => {
  await operator?.stop();
  await kubelet?.stop();
  await sink?.[Symbol.asyncDispose]();
  space?.admin.close();
});

const loaded = (pod: string) =>
  waitForVerdict(kubelet.smtpOf(pod), '127.0.0.60', 'bob@never.example', /^250 /, 30_000);

async function lose(pod: string): Promise<void> {
  const client = await SmtpClient.connect({ ...kubelet.smtpOf(pod), localAddress: '127.0.0.60' });
  try {
    await client.reply();
    await client.send('EHLO client.example');
    const replies = await client.mail({ to: ['bob@never.example'], data: message() });
    expect(replies.at(-1)).toMatch(/^250 /);
  } finally {
    client.destroy();
  }
}

const domain = z.object({ status: z.object({ ledger: z.unknown().optional() }) });
const ledgerOf = async (name: string) =>
  domain.parse(await space.admin.get(paths.postern(space.name, 'maildomains', name))).status.ledger;
const suppressed = (count: number) =>
  waitFor(
    `a ledger with ${count} suppressed reports`,
    () => ledgerOf('never'),
    (ledger) => z.object({ suppressedNdrs: z.literal(count) }).safeParse(ledger).success,
    30_000,
  );

/** Lets the operator look several times. */
async function looks(): Promise<void> {
  const before = await reconcilesOf(operator);
  await waitFor(
    'five more reconciles',
    () => reconcilesOf(operator),
    (count) => count >= before + 5,
  );
}

test('G9, I8: a failure that ndr Never keeps quiet stands in the status of its domain, and of no other', async () => {
  await lose('mail-0');
  expect(await suppressed(1)).toEqual({ ...none, suppressedNdrs: 1 });
  await lose('mail-1');
  expect(await suppressed(2)).toEqual({ ...none, suppressedNdrs: 2 });
  expect(await ledgerOf('quiet')).toBeUndefined();
});

test('G9, Q10: more of them within ten minutes change no status', async () => {
  const before = await space.versions();
  await lose('mail-0');
  await waitFor(
    'the pod has counted it',
    () => metric('mail-0'),
    (text) => /^postern_mta_ledger_total\{domain="never.example",entry="suppressedNdrs"\} 2$/m.test(text),
  );
  await looks();
  expect(await space.versions()).toEqual(before);
});

test('G9: while a pod is away its numbers stay, and it is back with all that it has counted', async () => {
  await kubelet.removePod('mail-0');
  await looks();
  expect(await ledgerOf('never')).toEqual({ ...none, suppressedNdrs: 2 });
  await kubelet.addPod('mail-0');
  expect(await suppressed(3)).toEqual({ ...none, suppressedNdrs: 3 });
});

test('G9: an operator that starts anew counts nothing twice', async () => {
  await operator.stop();
  operator = await startOperatorIn(space, { slowPollMs: 400 });
  await looks();
  expect(await ledgerOf('never')).toEqual({ ...none, suppressedNdrs: 3 });
});

test('G9: a pod that is scaled away takes its numbers along', async () => {
  await space.admin.mergePatch(paths.apps(space.name, 'statefulsets', 'mail-default'), {
    spec: { replicas: 1 },
  });
  await kubelet.removePod('mail-1');
  expect(await suppressed(2)).toEqual({ ...none, suppressedNdrs: 2 });
});

async function metric(pod: string): Promise<string> {
  return (await fetch(`http://${kubelet.smtpOf(pod).host}:8025/metrics`)).text();
}
