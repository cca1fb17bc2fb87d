// Mail on the volume of a pod that was scaled away: the operator says so, and remembers what the pod said at its end.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { RunningOperator } from '../../operator/operator.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { recordFaults } from '../faults/record.ts';
import { paths } from './api.ts';
import { Kubelet } from './kubelet.ts';
import { crdFolder, TestNamespace, tenant, waitFor } from './namespace.ts';
import { startOperatorIn } from './operator.ts';

afterEach(() => recordFaults(2));

const cluster = useControlPlane({ identities: [tenant] });
let space: TestNamespace;
let kubelet: Kubelet;
let operator: RunningOperator;

beforeAll(async () => {
  await cluster.current.installCrds(crdFolder);
  space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('stranded'));
  kubelet = await Kubelet.start(space.admin, space.name, 'default', 1);
  await kubelet.addPod('mail-default-0');
  operator = await startOperatorIn(space, { slowPollMs: 500 });
  await space.apply({
    apiVersion: 'postern.dev/v1alpha1',
    kind: 'MailDomain',
    metadata: { name: 'here' },
    spec: {
      domain: 'here.example',
      mailbox: { maildir: {} },
      recipients: { mode: 'List', addresses: ['bob'] },
    },
  });
  await space.waitForCondition('maildomains', 'here', 'Ready', /^True/);
});

afterAll(async () => {
  await operator?.stop();
  await kubelet?.stop();
  space?.admin.close();
});

const claimPath = () => paths.core(space.name, 'persistentvolumeclaims', 'spool-mail-default-1');
const podPath = () => paths.core(space.name, 'pods', 'mail-default-1');
const stranded = (expected: RegExp) =>
  space.waitForCondition('maildomains', 'here', 'QueueStranded', expected);
const noted = (expected: string | undefined) =>
  waitFor(
    `the note ${expected} on the claim`,
    async () => (await space.admin.get(claimPath()))?.metadata.annotations['postern.dev/queued'],
    (value) => value === expected,
  );

/** The life of the second pod: made, ended with these last words, and taken away. */
async function liveAndDie(message: string | undefined): Promise<void> {
  const container = { name: 'mta', image: 'postern-mta:test' };
  await space.admin.create(paths.core(space.name, 'pods'), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'mail-default-1', labels: { 'postern.dev/mta': 'default' } },
    spec: { containers: [container] },
  });
  await stranded(/^none/);
  await noted(undefined);
  if (message !== undefined) {
    const state = { terminated: { exitCode: 0, message } };
    const status = { name: 'mta', image: container.image, imageID: '', ready: false, restartCount: 0, state };
    await space.admin.mergePatch(`${podPath()}/status`, { status: { containerStatuses: [status] } });
  }
  await space.admin.remove(podPath());
}

test('X12: a claim beyond the replicas may hold mail until its pod has said how much it left; the note outlives the operator', async () => {
  await space.admin.create(paths.core(space.name, 'persistentvolumeclaims'), {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'spool-mail-default-1', labels: { 'postern.dev/mta': 'default' } },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  });
  expect(await stranded(/^True/)).toBe(
    'True/QueueStranded: MTA default (replicas: 1) has no pod for PersistentVolumeClaim spool-mail-default-1 (may hold mail)',
  );

  await liveAndDie('{"queued":7}');
  await stranded(/spool-mail-default-1 \(7 mails\)$/);
  await noted('7');
  await operator.stop();
  operator = await startOperatorIn(space, { slowPollMs: 500 });
  await stranded(/spool-mail-default-1 \(7 mails\)$/);
  // It does not count for Ready: mail that comes in is not affected.
  expect(await space.condition('maildomains', 'here', 'Ready')).toMatch(/^True/);

  await liveAndDie(undefined);
  await stranded(/spool-mail-default-1 \(may hold mail\)$/);

  await liveAndDie('{"queued":0}');
  await noted('0');
  await stranded(/^none/);
  await space.admin.remove(claimPath());
});
