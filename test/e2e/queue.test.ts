// Queues whose pods are scaled away: handed over to the pods that stay, or named until somebody brings a pod back.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clientAddresses } from '../cluster/node/addresses.ts';
import { waitFor } from '../kubernetes/namespace.ts';
import { type Sink, startSink } from '../wire/sink.ts';
import { message, SmtpClient } from '../wire/smtp-client.ts';
import { kubectl, Tenant } from './tenant.ts';
import { notOnce, Traffic } from './traffic.ts';

const [sinkAddress = ''] = clientAddresses;
const recipient = 'bob@amber.example';
const later = { mail: () => '451 4.3.0 later' };
/** Sessions per pod. */
const sessions = 3;

let sink: Sink;
let amber: Tenant;
let traffic: Traffic | undefined;

const values = (settings: object = {}) => ({
  replicas: 3,
  settings: { heloName: 'mx.amber.example', retryIntervalsSeconds: [60], ...settings },
  drain: { preStopSeconds: 6, graceSeconds: 24 },
  objects: {
    routes: { store: { host: sinkAddress, port: sink.port, tls: { mode: 'Disabled' } } },
    mailDomains: {
      main: {
        domain: 'amber.example',
        mailbox: { routeRef: { name: 'store' } },
        recipients: { mode: 'List', addresses: ['bob'] },
      },
    },
  },
});

beforeAll(async () => {
  sink = await startSink({ host: sinkAddress, behaviour: later });
  amber = await Tenant.create('amber');
  await amber.chart('install', values());
  await amber.wait('maildomain/main');
});

afterAll(async () => {
  await traffic?.stop();
  await amber?.remove();
  await sink?.[Symbol.asyncDispose]();
});

/** Sends mails to every pod, some of them in each session. @returns their subjects */
async function fill(mark: string, perSession: number): Promise<string[]> {
  const subjects: string[] = [];
  const send = async (host: string, name: string) => {
    const client = await SmtpClient.connect({ host, port: 2525 });
    try {
      await client.reply();
      await client.send('EHLO client.example');
      for (let number = 0; number < perSession; number += 1) {
        const subject = `${mark}-${name}-${number}`;
        const replies = await client.mail({ to: [recipient], data: message({ subject }) });
        expect(replies.at(-1)).toMatch(/^250 /);
        subjects.push(subject);
      }
    } finally {
      client.destroy();
    }
  };
  const pods = await amber.pods();
  await Promise.all(
    pods.flatMap(({ address, name }) =>
      Array.from({ length: sessions }, (_, session) => send(address, `${name}-${session}`)),
    ),
  );
  return subjects;
}

const scale = (replicas: number) => amber.kubectl(['scale', 'statefulset', 'mail', `--replicas=${replicas}`]);
const arriveOnce = (subjects: readonly string[], deadlineMs: number) =>
  waitFor(
    'every mail to arrive, once',
    () => notOnce(sink, subjects),
    (others) => Object.keys(others).length === 0,
    deadlineMs,
  );
const noted = async (claim: string) =>
  kubectl([
    ...['-n', 'amber', 'get', 'persistentvolumeclaim', claim],
    String.raw`-o=jsonpath={.metadata.annotations.postern\.dev/queued}`,
  ]);

test('X12: 2,000 mails through a roll and a scale-down from 3 pods to 1: handed over, each delivered once, none refused', async () => {
  const waiting = await fill('waiting', 223);
  expect(waiting.length).toBeGreaterThanOrEqual(2_000);
  const host = await amber.kubectl(['get', 'service', 'mail', '-o=jsonpath={.spec.clusterIP}']);
  traffic = new Traffic({ host, port: 25 }, recipient, 'running');
  const before = (await amber.pods()).map(({ uid }) => uid);
  await amber.kubectl(['rollout', 'restart', 'statefulset', 'mail']);
  const after = await amber.waitForPods(3, before, 240_000);
  await scale(1);
  const [stays] = await amber.waitForPods(1, [], 180_000);
  expect(stays?.uid).toBe(after[0]?.uid);
  for (const claim of ['spool-mail-1', 'spool-mail-2'])
    await waitFor(
      `nothing left in ${claim}`,
      () => noted(claim),
      (left) => left === '0',
    );
  expect(await amber.condition('maildomain/main', 'QueueStranded')).toBe('');
  const { accepted, failures } = await traffic.stop();
  expect(failures).toEqual([]);
  expect(accepted.length).toBeGreaterThan(20);
  sink.behaviour = {};
  await arriveOnce([...waiting, ...accepted], 150_000);
});

test('X12: where no pod stays, the condition QueueStranded names the volume and how much it holds, until a pod is back', async () => {
  sink.behaviour = later;
  const subjects = await fill('stranded', 4);
  await scale(0);
  await amber.waitForPods(0);
  const text = await amber.waitForCondition('maildomain/main', 'QueueStranded', /^True/);
  expect(text).toBe(
    'True/QueueStranded: MTA default (replicas: 0) has no pod for PersistentVolumeClaim spool-mail-0 (12 mails)',
  );
  sink.behaviour = {};
  await scale(1);
  await amber.waitForPods(1);
  await amber.waitForCondition('maildomain/main', 'QueueStranded', /^$/);
  await arriveOnce(subjects, 60_000);
  expect(await noted('spool-mail-0')).toBe('');
});

test('X12: a pod that is scaled up again for its queue hands it over when it goes', async () => {
  sink.behaviour = later;
  await scale(2);
  const [, second] = await amber.waitForPods(2);
  const subjects = await fill('again', 4);
  // No time to hand over: as if its node were lost.
  await amber.kubectl(['patch', 'statefulset', 'mail', '-p', '{"spec":{"replicas":1}}']);
  await amber.kubectl(['delete', 'pod', second?.name ?? '', '--grace-period=0', '--force']);
  await amber.waitForPods(1);
  await amber.waitForCondition('maildomain/main', 'QueueStranded', /spool-mail-1 \(may hold mail\)$/);
  await scale(2);
  await amber.waitForPods(2);
  await scale(1);
  await amber.waitForPods(1);
  await waitFor(
    'nothing left in spool-mail-1',
    () => noted('spool-mail-1'),
    (left) => left === '0',
  );
  await amber.waitForCondition('maildomain/main', 'QueueStranded', /^$/);
  sink.behaviour = {};
  await arriveOnce(subjects, 90_000);
});
