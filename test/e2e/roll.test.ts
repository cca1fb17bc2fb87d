// What happens to mail while policy changes, pods are rolled, deleted and scaled: nothing.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { clientAddresses } from '../cluster/node/addresses.ts';
import { nodeName } from '../cluster/node/node.ts';
import { waitFor } from '../kubernetes/namespace.ts';
import { verdict, waitForVerdict } from '../kubernetes/verdict.ts';
import { type Sink, startSink } from '../wire/sink.ts';
import { message, SmtpClient } from '../wire/smtp-client.ts';
import { kubectl, kubectlAs, object, onNode, processOf, Tenant } from './tenant.ts';
import { notOnce, sendMail, Traffic } from './traffic.ts';

const [sinkAddress = '', , , stranger = ''] = clientAddresses;
const mtaPort = 2525;
const recipient = 'bob@green.example';
const drain = { preStopSeconds: 6, graceSeconds: 24 };

let sink: Sink;
let green: Tenant;
/** The Service. */
let front: { host: string; port: number };
let traffic: Traffic | undefined;

const values = (settings: object = {}) => ({
  podLabels: { 'postern.dev/test': 'green' },
  settings: { heloName: 'mx.green.example', retryIntervalsSeconds: [2], ...settings },
  drain,
  objects: {
    routes: { store: { host: sinkAddress, port: sink.port, tls: { mode: 'Disabled' } } },
    mailDomains: {
      main: {
        domain: 'green.example',
        mailbox: { routeRef: { name: 'store' } },
        recipients: { mode: 'List', addresses: ['bob'] },
      },
    },
  },
});

beforeAll(async () => {
  sink = await startSink({ host: sinkAddress });
  green = await Tenant.create('green');
  await green.chart('install', values());
  await green.wait('maildomain/main');
  const host = await green.kubectl(['get', 'service', 'mail', '-o=jsonpath={.spec.clusterIP}']);
  front = { host, port: 25 };
});

afterEach(async () => {
  await traffic?.stop();
  traffic = undefined;
});

afterAll(async () => {
  await green?.remove();
  await sink?.[Symbol.asyncDispose]();
});

const mta = (pod: { address: string }) => ({ host: pod.address, port: mtaPort });

/** Has mail sent while `work` is done, until some more has been accepted after it, and expects every mail to arrive once. */
async function underTraffic(mark: string, work: () => Promise<void>): Promise<void> {
  const running = new Traffic(front, recipient, mark);
  traffic = running;
  const more = (count: number) => {
    const before = running.count;
    return waitFor(
      `${count} more mails to be accepted`,
      () => running.count,
      (now) => now >= before + count,
    );
  };
  await more(20);
  await work();
  await more(40);
  const { accepted, failures } = await running.stop();
  expect(failures).toEqual([]);
  await waitFor(
    'every mail to arrive',
    () => notOnce(sink, accepted),
    (others) => Object.keys(others).length === 0,
    60_000,
  ).catch(() => expect(notOnce(sink, accepted)).toEqual({}));
}

test('G7: a list that changes acts in every pod, and no pod is restarted, no mail refused', async () => {
  const before = await green.pods();
  await underTraffic('hot', async () => {
    await green.apply(
      object('IpAccessList', 'strangers', { action: 'Block', allDomains: true, addresses: [stranger] }),
    );
    for (const pod of before) await waitForVerdict(mta(pod), stranger, recipient, /^550 5\.7\.1 /);
    await green.wait('ipaccesslist/strangers', 'Programmed');
    await green.patch('ipaccesslist', 'strangers', { addresses: ['203.0.113.1'] });
    for (const pod of before) await waitForVerdict(mta(pod), stranger, recipient, /^250 /);
  });
  const after = await green.pods();
  expect(after.map(({ uid }) => uid)).toEqual(before.map(({ uid }) => uid));
  const restarts = '{range .items[*]}{.status.containerStatuses[0].restartCount} {end}';
  expect(await green.kubectl(['get', 'pods', `-o=jsonpath=${restarts}`])).toBe('0 0 ');
});

test('a setting of the MTA rolls the pods one after the other, says why, and no mail is refused, lost or doubled', async () => {
  const before = (await green.pods()).map(({ uid }) => uid);
  await underTraffic('cold', async () => {
    await green.chart('upgrade', values({ maxMessageBytes: 2_000_000 }));
    const after = await green.waitForPods(2, before, 180_000);
    for (const { annotations } of after) expect(annotations['postern.dev/rolled-for']).toMatch(/mta/i);
  });
  const [pod] = await green.pods();
  const client = await SmtpClient.connect(mta(pod ?? { address: '' }));
  await client.reply();
  expect(await client.send('EHLO client.example')).toContain('250-SIZE 2000000');
  client.destroy();
});

test('helm upgrade with the same values rolls nothing', async () => {
  const before = (await green.pods()).map(({ uid }) => uid);
  const generation = () =>
    green.kubectl(['get', 'statefulset', 'mail', '-o=jsonpath={.metadata.generation}']);
  const at = await generation();
  await green.chart('upgrade', values({ maxMessageBytes: 2_000_000 }));
  await green.wait('maildomain/main');
  expect(await generation()).toBe(at);
  expect((await green.pods()).map(({ uid }) => uid)).toEqual(before);
});

test('a pod that is deleted drains: no mail is refused, lost or doubled, and its successor takes over the queue', async () => {
  const [first] = await green.pods();
  await underTraffic('delete', async () => {
    await green.kubectl(['delete', 'pod', 'mail-0', '--wait=false']);
    await green.waitForPods(2, [first?.uid ?? '']);
  });
});

test('a node that is drained gives up one pod, and keeps the other until the first is back: no mail is refused, lost or doubled', async () => {
  const before = (await green.pods()).map(({ uid }) => uid);
  const flags = ['--pod-selector=postern.dev/test=green', '--delete-emptydir-data', '--timeout=25s'];
  await underTraffic('drain', async () => {
    try {
      // There is no other node: the second eviction would leave nobody, and the PodDisruptionBudget refuses it.
      const { code, stdout, stderr } = await kubectlAs('admin', ['drain', nodeName, ...flags]);
      expect([code, `${stdout}${stderr}`]).toEqual([
        1,
        expect.stringContaining("violate the pod's disruption budget"),
      ]);
      const still = (await green.pods()).filter(({ uid, ready }) => before.includes(uid) && ready);
      expect(still).toHaveLength(1);
    } finally {
      await kubectl(['uncordon', nodeName]);
    }
    await green.waitForPods(2);
  });
});

const podEnd = z.object({
  status: z.object({
    containerStatuses: z.tuple([
      z.object({ state: z.object({ terminated: z.object({ exitCode: z.int() }).optional() }) }),
    ]),
  }),
});

test('a pod that ends lets a running DATA finish, answers 421 4.3.2 to new mail, and exits by itself within its grace', async () => {
  const [pod] = await green.pods();
  if (pod === undefined) throw new Error('no pod');
  const busy = await SmtpClient.connect(mta(pod));
  await busy.reply();
  await busy.send('EHLO client.example');
  await busy.send('MAIL FROM:<sender@elsewhere.example>');
  await busy.send(`RCPT TO:<${recipient}>`);
  expect(await busy.send('DATA')).toMatch(/^354 /);
  const idle = await SmtpClient.connect(mta(pod));
  await idle.reply();
  // Something holds the object, so that its end can be read from it.
  const finalizers = (list: string[]) =>
    green.kubectl([
      'patch',
      'pod',
      pod.name,
      '--type=merge',
      '-p',
      JSON.stringify({ metadata: { finalizers: list } }),
    ]);
  await finalizers(['test.postern.dev/hold']);
  await green.kubectl(['delete', 'pod', pod.name, '--wait=false']);
  try {
    // Now: at the very end kubelet sets it to 0.
    const grace = await green.kubectl([
      'get',
      'pod',
      pod.name,
      '-o=jsonpath={.metadata.deletionGracePeriodSeconds}',
    ]);
    expect(Number(grace)).toBe(drain.preStopSeconds + drain.graceSeconds + 20);
    // After the sleep, when it is no longer in the Service.
    expect(await idle.reply()).toMatch(/^421 4\.3\.2 /);
    busy.write(message({ subject: 'last words' }));
    busy.write('.\r\n');
    expect(await busy.reply()).toMatch(/^250 /);
    const end = await waitFor(
      'the pod to end',
      async () => podEnd.parse(JSON.parse(await green.kubectl(['get', 'pod', pod.name, '-o', 'json']))),
      ({ status }) => status.containerStatuses[0].state.terminated !== undefined,
      60_000,
    );
    // Killed when its grace was over, it would be 137.
    expect(end.status.containerStatuses[0].state.terminated?.exitCode).toBe(0);
  } finally {
    await finalizers([]);
    busy.destroy();
    idle.destroy();
  }
  await green.waitForPods(2, [pod.uid]);
  await waitFor(
    'the mail',
    () => notOnce(sink, ['last words']),
    (others) => Object.keys(others).length === 0,
  );
});

test('scaled down, mail that waits stays on its volume; scaled up, it is delivered, once', async () => {
  sink.behaviour = { mail: () => '451 4.3.0 later' };
  const subjects: string[] = [];
  for (const pod of await green.pods()) {
    for (let number = 0; number < 5; number += 1) {
      const subject = `kept-${pod.name}-${number}`;
      expect(await sendMail(mta(pod), recipient, subject)).toBeUndefined();
      subjects.push(subject);
    }
  }
  await green.kubectl(['scale', 'statefulset', 'mail', '--replicas=0']);
  await green.waitForPods(0);
  sink.behaviour = {};
  expect(Object.keys(notOnce(sink, subjects))).toHaveLength(10);
  await green.kubectl(['scale', 'statefulset', 'mail', '--replicas=3']);
  const pods = await green.waitForPods(3);
  await waitFor(
    'what was kept to arrive',
    () => notOnce(sink, subjects),
    (others) => Object.keys(others).length === 0,
    60_000,
  ).catch(() => expect(notOnce(sink, subjects)).toEqual({}));
  for (const pod of pods) expect(await verdict(mta(pod), stranger, recipient)).toMatch(/^250 /);
  await green.wait('maildomain/main', 'Programmed');
  await green.kubectl(['scale', 'statefulset', 'mail', '--replicas=2']);
  await green.waitForPods(2);
});

test('a pod that is killed, twice, loses nothing of what it answered 250', async () => {
  // From the third on, kubelet waits longer than the test should.
  const rounds = 2;
  /** Default of the MTA's setting: deliveries of one pod to one destination at a time. */
  const perDestinationConcurrency = 20;
  const [pod] = await green.pods();
  const running = new Traffic(front, recipient, 'kill');
  traffic = running;
  const count = (least: number) =>
    waitFor(
      `${least} mails`,
      () => running.count,
      (now) => now >= least,
    );
  await count(20);
  for (let kills = 1; kills <= rounds; kills += 1) {
    await onNode('kill', '-KILL', await processOf(pod?.uid ?? ''));
    const restarts = '{.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}';
    await waitFor(
      'kubelet to start it again',
      () => green.kubectl(['get', 'pod', pod?.name ?? '', `-o=jsonpath=${restarts}`]),
      (text) => text === `${kills} true`,
      120_000,
    );
  }
  await count(running.count + 20);
  const { accepted, failures } = await running.stop();
  // Connections to it break, or the test has killed nobody.
  expect(failures.length).toBeGreaterThan(0);
  const lost = () => Object.entries(notOnce(sink, accepted)).filter(([, times]) => times === 0);
  await waitFor('every mail to arrive', lost, (none) => none.length === 0, 60_000);
  // What was being delivered when it was killed may be delivered again.
  expect(Object.keys(notOnce(sink, accepted)).length).toBeLessThanOrEqual(rounds * perDestinationConcurrency);
});
