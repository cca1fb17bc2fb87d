// The key of hop marks: made once by the operator, the same for all pods of the tenant, and in Secrets alone.
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunningOperator } from '../../operator/operator.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { paths } from './api.ts';
import { Kubelet } from './kubelet.ts';
import { crdFolder, TestNamespace, tenant, waitFor } from './namespace.ts';
import { startOperatorIn } from './operator.ts';

const cluster = useControlPlane({ identities: [tenant] });
let space: TestNamespace;
let kubelet: Kubelet;
let operator: RunningOperator;

beforeAll(async () => {
  await cluster.current.installCrds(crdFolder);
  space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('hop'));
  kubelet = await Kubelet.start(space.admin, space.name, 'default', 1);
  await kubelet.addPod('mail-0');
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

const secretPath = () => paths.core(space.name, 'secrets', 'postern-hop-key');

test('G10: the operator makes the key of hop marks without an owner, and gives it to the pods in their Secrets alone', async () => {
  const secret = await space.admin.get(secretPath());
  expect(secret?.metadata).toMatchObject({
    ownerReferences: [],
    labels: { 'app.kubernetes.io/managed-by': 'postern', 'postern.dev/use': 'hop-key' },
  });
  const key = Buffer.from(secret?.data['key'] ?? '', 'base64').toString();
  expect(key).toMatch(/^[A-Za-z0-9_-]{43}$/);

  const shards = async () =>
    (await space.admin.list(paths.core(space.name, 'secrets')))
      .filter(({ metadata }) => metadata.name.startsWith('postern-default-secret-'))
      .flatMap(({ data }) => Object.entries(data))
      .filter(([file]) => file.endsWith('.gz'))
      .map(([, bytes]) => gunzipSync(Buffer.from(bytes, 'base64')).toString());
  await waitFor('the key in a Secret of the pods', shards, (texts) => texts.join().includes(key));

  const configMaps = await space.admin.list(paths.core(space.name, 'configmaps'));
  const unpacked = configMaps.flatMap(({ binaryData }) =>
    Object.values(binaryData).map((bytes) => gunzipSync(Buffer.from(bytes, 'base64')).toString()),
  );
  const others = await Promise.all([
    space.admin.list(`/apis/events.k8s.io/v1/namespaces/${space.name}/events`),
    space.admin.list(paths.postern(space.name, 'maildomains')),
    space.admin.list(paths.core(space.name, 'pods')),
  ]);
  const everythingPublic = JSON.stringify([configMaps, unpacked, others]);
  expect(everythingPublic).not.toContain(key);
  expect(everythingPublic).not.toContain(Buffer.from(key).toString('base64'));
});

test('G10: a second operator finds the key and makes no other', async () => {
  const before = await space.admin.get(secretPath());
  await operator.stop();
  operator = await startOperatorIn(space, { slowPollMs: 500 });
  await space.admin.mergePatch(paths.postern(space.name, 'maildomains', 'here'), {
    spec: { recipients: { addresses: ['bob', 'carol'] } },
  });
  await waitFor(
    'the new generation to be observed',
    () => space.admin.get(paths.postern(space.name, 'maildomains', 'here')),
    (object) => object?.status?.['observedGeneration'] === object?.metadata.generation,
  );
  const after = await space.admin.get(secretPath());
  expect(after?.data).toEqual(before?.data);
  expect(after?.metadata.uid).toBe(before?.metadata.uid);
  expect(after?.metadata.resourceVersion).toBe(before?.metadata.resourceVersion);
});
