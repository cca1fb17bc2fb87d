// Mail on the volume of a pod that was scaled away: the operator says so, and remembers what the pod said at its end.
import { afterEach, expect, test } from 'vitest';
import { recordFaults } from '../faults/record.ts';
import { paths } from './api.ts';
import { waitFor } from './namespace.ts';
import { useServedDomain } from './served.ts';

afterEach(() => recordFaults(2));

const served = useServedDomain('stranded', 'mail-default-0');

const claimPath = () => paths.core(served.space.name, 'persistentvolumeclaims', 'spool-mail-default-1');
const podPath = () => paths.core(served.space.name, 'pods', 'mail-default-1');
const stranded = (expected: RegExp) =>
  served.space.waitForCondition('maildomains', 'here', 'QueueStranded', expected);
const noted = (expected: string | undefined) =>
  waitFor(
    `the note ${expected} on the claim`,
    async () => (await served.space.admin.get(claimPath()))?.metadata.annotations['postern.dev/queued'],
    (value) => value === expected,
  );

/** The life of the second pod: made, ended with these last words, and taken away. */
async function liveAndDie(message: string | undefined): Promise<void> {
  const container = { name: 'mta', image: 'postern-mta:test' };
  await served.space.admin.create(paths.core(served.space.name, 'pods'), {
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
    await served.space.admin.mergePatch(`${podPath()}/status`, { status: { containerStatuses: [status] } });
  }
  await served.space.admin.remove(podPath());
}

test('X12: a claim beyond the replicas may hold mail until its pod has said how much it left; the note outlives the operator', async () => {
  await served.space.admin.create(paths.core(served.space.name, 'persistentvolumeclaims'), {
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
  await served.restartOperator();
  await stranded(/spool-mail-default-1 \(7 mails\)$/);
  // It does not count for Ready: mail that comes in is not affected.
  expect(await served.space.condition('maildomains', 'here', 'Ready')).toMatch(/^True/);

  await liveAndDie(undefined);
  await stranded(/spool-mail-default-1 \(may hold mail\)$/);

  await liveAndDie('{"queued":0}');
  await noted('0');
  await stranded(/^none/);
  await served.space.admin.remove(claimPath());
});
