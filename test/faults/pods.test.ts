// X12: MTA pods go while mail comes: what was answered 250 is delivered once, and who comes after a pod has its queue.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunningOperator } from '../../operator/operator.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { Traffic } from '../e2e/traffic.ts';
import { paths } from '../kubernetes/api.ts';
import { Kubelet } from '../kubernetes/kubelet.ts';
import { crdFolder, TestNamespace, tenant, waitFor } from '../kubernetes/namespace.ts';
import { startOperatorIn } from '../kubernetes/operator.ts';
import { type Sink, startSink } from '../wire/sink.ts';
import { mailDomain } from './fixtures.ts';
import { recordFaults } from './record.ts';

const pods = ['mail-0', 'mail-1'];
const rounds = 2;

const cluster = useControlPlane({ identities: [tenant] });
let space: TestNamespace;
let kubelet: Kubelet;
let operator: RunningOperator;
let sink: Sink;

beforeAll(async () => {
  await cluster.current.installCrds(crdFolder);
  // So slow, and asked by one connection of each pod, that mail waits in the queue all the time.
  sink = await startSink({ behaviour: { delayMs: 200 } });
  space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('pods'));
  kubelet = await Kubelet.start(space.admin, space.name, 'default', pods.length);
  for (const pod of pods) await kubelet.addPod(pod);
  operator = await startOperatorIn(space, { slowPollMs: 300 });
  const route = {
    apiVersion: 'postern.dev/v1alpha1',
    kind: 'Route',
    metadata: { name: 'store' },
    spec: {
      host: '127.0.0.1',
      port: sink.port,
      protocol: 'SMTP',
      tls: { mode: 'Disabled' },
      connection: { maxConcurrent: 1 },
    },
  };
  await space.apply(route, mailDomain('a', 'a.example', { mailbox: { routeRef: { name: 'store' } } }));
  await space.waitForCondition('maildomains', 'a', 'Ready', /^True/);
  // Ready of the MailDomain speaks of the pods that are ready.
  for (const pod of pods) await waitUntilReady(pod);
});

afterAll(async () => {
  await operator?.stop();
  await kubelet?.stop();
  await sink?.[Symbol.asyncDispose]();
  space?.admin.close();
});

async function waitUntilReady(pod: string): Promise<void> {
  await waitFor(
    `${pod} to be ready`,
    async () => (await space.admin.get(paths.core(space.name, 'pods', pod)))?.status?.['conditions'],
    (conditions) => JSON.stringify(conditions ?? []).includes('"status":"True"'),
  );
}

const delivered = () => sink.mails.map(({ data }) => /^Subject: (\S+)/m.exec(data)?.[1] ?? '');

test('X12: pods are deleted one after the other under load: nothing lost, nothing twice, no 5xx, one is always ready', {
  timeout: 120_000,
}, async () => {
  const accepted: string[] = [];
  let deleted = 0;
  for (let round = 0; round < rounds; round += 1) {
    for (const pod of pods) {
      const traffic = pods.map(
        (name) => new Traffic(kubelet.smtpOf(name), 'bob@a.example', `${deleted}-${name}`),
      );
      const before = delivered().length;
      const count = () => traffic.reduce((sum, { count: one }) => sum + one, 0);
      await waitFor(
        'mail in the queues',
        () => count() - (delivered().length - before),
        (queued) => queued >= 10,
      );
      await kubelet.removePod(pod);
      deleted += 1;
      const other = traffic[pods.findIndex((name) => name !== pod)];
      const beforeOther = other?.count ?? 0;
      await waitFor(
        'the other pod to go on',
        () => other?.count ?? 0,
        (now) => now >= beforeOther + 5,
      );
      const accounts = await Promise.all(traffic.map((one) => one.stop()));
      accepted.push(...accounts.flatMap((account) => account.accepted));
      const failures = accounts.flatMap((account) => account.failures);
      expect(failures.filter((failure) => /: 5\d\d/.test(failure))).toEqual([]);
      // Only whoever spoke to the pod that went had to come again.
      expect(failures.filter((failure) => !failure.includes(pod))).toEqual([]);
      await kubelet.addPod(pod);
      await space.waitForCondition('maildomains', 'a', 'Programmed', /^True/);
      await waitUntilReady(pod);
    }
  }
  await waitFor(
    'all accepted mail to be delivered',
    () => accepted.filter((subject) => !delivered().includes(subject)),
    (missing) => missing.length === 0,
  );
  expect(delivered()).toHaveLength(new Set(delivered()).size);
  recordFaults(deleted);
});
