// The key of hop marks: made once by the operator, the same for all pods of the tenant, and in Secrets alone.
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { paths } from './api.ts';
import { waitFor } from './namespace.ts';
import { useServedDomain } from './served.ts';

const served = useServedDomain('hop', 'mail-0');

const secretPath = () => paths.core(served.space.name, 'secrets', 'postern-hop-key');

test('G10: the operator makes the key of hop marks without an owner, and gives it to the pods in their Secrets alone', async () => {
  const secret = await served.space.admin.get(secretPath());
  expect(secret?.metadata).toMatchObject({
    ownerReferences: [],
    labels: { 'app.kubernetes.io/managed-by': 'postern', 'postern.dev/use': 'hop-key' },
  });
  const key = Buffer.from(secret?.data['key'] ?? '', 'base64').toString();
  expect(key).toMatch(/^[A-Za-z0-9_-]{43}$/);

  const shards = async () =>
    (await served.space.admin.list(paths.core(served.space.name, 'secrets')))
      .filter(({ metadata }) => metadata.name.startsWith('postern-default-secret-'))
      .flatMap(({ data }) => Object.entries(data))
      .filter(([file]) => file.endsWith('.gz'))
      .map(([, bytes]) => gunzipSync(Buffer.from(bytes, 'base64')).toString());
  await waitFor('the key in a Secret of the pods', shards, (texts) => texts.join().includes(key));

  const configMaps = await served.space.admin.list(paths.core(served.space.name, 'configmaps'));
  const unpacked = configMaps.flatMap(({ binaryData }) =>
    Object.values(binaryData).map((bytes) => gunzipSync(Buffer.from(bytes, 'base64')).toString()),
  );
  const others = await Promise.all([
    served.space.admin.list(`/apis/events.k8s.io/v1/namespaces/${served.space.name}/events`),
    served.space.admin.list(paths.postern(served.space.name, 'maildomains')),
    served.space.admin.list(paths.core(served.space.name, 'pods')),
  ]);
  const everythingPublic = JSON.stringify([configMaps, unpacked, others]);
  expect(everythingPublic).not.toContain(key);
  expect(everythingPublic).not.toContain(Buffer.from(key).toString('base64'));
});

test('G10: a second operator finds the key and makes no other', async () => {
  const before = await served.space.admin.get(secretPath());
  await served.restartOperator();
  await served.space.admin.mergePatch(paths.postern(served.space.name, 'maildomains', 'here'), {
    spec: { recipients: { addresses: ['bob', 'carol'] } },
  });
  await waitFor(
    'the new generation to be observed',
    () => served.space.admin.get(paths.postern(served.space.name, 'maildomains', 'here')),
    (object) => object?.status?.['observedGeneration'] === object?.metadata.generation,
  );
  const after = await served.space.admin.get(secretPath());
  expect(after?.data).toEqual(before?.data);
  expect(after?.metadata.uid).toBe(before?.metadata.uid);
  expect(after?.metadata.resourceVersion).toBe(before?.metadata.resourceVersion);
});
