// A signing key from the manifest to the DNS record: one key, made once, published with nsupdate, and kept whatever happens.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunningOperator } from '../../operator/operator.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { type NameServer, type Resolver, startNameServer, startResolver } from '../parts/bind.ts';
import { paths } from './api.ts';
import { Kubelet } from './kubelet.ts';
import { crdFolder, TestNamespace, tenant, waitFor } from './namespace.ts';
import { startOperatorIn } from './operator.ts';

const cluster = useControlPlane({ identities: [tenant] });
let space: TestNamespace;
let kubelet: Kubelet;
let operator: RunningOperator;
let server: NameServer;
let resolver: Resolver;

beforeAll(async () => {
  server = await startNameServer({
    '.': ['@ NS ns.signed.example.', 'signed.example. NS ns.signed.example.', 'ns.signed.example. A 192.0.2.53'],
    'signed.example': ['@ NS ns.signed.example.', 'ns A 192.0.2.53'],
  });
  resolver = await startResolver(server.server);
  await cluster.current.installCrds(crdFolder);
  space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('dkim'));
  kubelet = await Kubelet.start(space.admin, space.name, 'default', 1);
  await kubelet.addPod('mail-0');
  operator = await startOperatorIn(space, {
    slowPollMs: 500,
    resolvers: [resolver.server],
    dns: { authoritativeServer: () => server.server },
  });
  await space.apply(
    {
      apiVersion: 'postern.dev/v1alpha1',
      kind: 'MailDomain',
      metadata: { name: 'signed' },
      spec: { domain: 'signed.example', mailbox: { maildir: {} }, recipients: { mode: 'List', addresses: ['bob'] } },
    },
    dkimKey('signed', 'one'),
  );
});

afterAll(async () => {
  await operator?.stop();
  await kubelet?.stop();
  await resolver?.stop();
  await server?.stop();
  space?.admin.close();
});

function dkimKey(name: string, selector: string): object {
  return {
    apiVersion: 'postern.dev/v1alpha1',
    kind: 'DkimKey',
    metadata: { name },
    spec: { domainRef: { name: 'signed' }, selector, verification: { mode: 'Automatic' } },
  };
}

const secretPath = (name: string) => paths.core(space.name, 'secrets', `postern-dkim-${name}`);

async function recordOf(name: string): Promise<{ name: string; value: string; chunks: string[] }> {
  const object = await space.admin.get(paths.postern(space.name, 'dkimkeys', name));
  const record: unknown = object?.status?.['dnsRecord'];
  if (typeof record !== 'object' || record === null || !('name' in record) || !('value' in record) || !('chunks' in record)) {
    throw new Error(`DkimKey ${name} has no record`);
  }
  const { name: host, value, chunks } = record;
  return { name: String(host), value: String(value), chunks: Array.isArray(chunks) ? chunks.map(String) : [] };
}

test('K7: the record is published with nsupdate, and found', async () => {
  await space.waitForCondition('dkimkeys', 'signed', 'Published', /^False\/RecordNotFound/);
  await space.waitForCondition('dkimkeys', 'signed', 'Ready', /^True/);
  const { name, chunks } = await recordOf('signed');
  await server.update(`update add ${name}. 1 TXT ${chunks.map((chunk) => `"${chunk}"`).join(' ')}`);
  // "Begin authentication": do not wait for the next look.
  const again = JSON.stringify({ spec: { verification: { requestId: 'now' } } });
  await space.kubectl(['patch', 'dkimkey', 'signed', '--type=merge', '-p', again]);
  await space.waitForCondition('dkimkeys', 'signed', 'Published', /^True/);
});

test('K16: that the record was seen is noted on the key itself', async () => {
  const secret = await waitFor(
    'the annotation on the Secret',
    () => space.admin.get(secretPath('signed')),
    (object) => object?.metadata.annotations['postern.dev/verified-time'] !== undefined,
  );
  expect(secret?.metadata.ownerReferences).toEqual([]);
});

test('X9: a deleted key is named, and no other is made while DNS has the old one', async () => {
  const before = await space.admin.get(secretPath('signed'));
  const { value } = await recordOf('signed');
  await space.kubectl(['delete', 'secret', 'postern-dkim-signed']);
  const text = await space.waitForCondition('dkimkeys', 'signed', 'KeyGenerated', /^False/, 10_000);
  expect(text).toContain('postern-dkim-signed');
  await space.waitForCondition('dkimkeys', 'signed', 'Ready', /^False/, 10_000);
  expect(await space.admin.get(secretPath('signed'))).toBeUndefined();
  expect((await recordOf('signed')).value).toBe(value);

  const { name, labels, annotations } = before?.metadata ?? { name: '', labels: {}, annotations: {} };
  const restored = { apiVersion: 'v1', kind: 'Secret', metadata: { name, labels, annotations }, data: before?.data };
  await space.admin.create(paths.core(space.name, 'secrets'), restored);
  await space.waitForCondition('dkimkeys', 'signed', 'Ready', /^True/, 10_000);
});

test('X9: a truncated key and another key are named, and left as they are', async () => {
  const good = (await space.admin.get(secretPath('signed')))?.data;
  const truncated = { 'tls.key': Buffer.from('-----BEGIN PRIVATE KEY-----\nMIIE').toString('base64') };
  await space.admin.mergePatch(secretPath('signed'), { data: truncated });
  await space.waitForCondition('dkimkeys', 'signed', 'KeyGenerated', /^False\/InvalidKey/, 10_000);

  await space.apply(dkimKey('other', 'two'));
  await space.waitForCondition('dkimkeys', 'other', 'KeyGenerated', /^True/);
  const other = (await space.admin.get(secretPath('other')))?.data;
  await space.admin.mergePatch(secretPath('signed'), { data: other });
  await space.waitForCondition('dkimkeys', 'signed', 'KeyGenerated', /^False\/InvalidKey.*another key/, 10_000);
  expect((await space.admin.get(secretPath('signed')))?.data).toEqual(other);

  await space.admin.mergePatch(secretPath('signed'), { data: good });
  await space.waitForCondition('dkimkeys', 'signed', 'Ready', /^True/, 10_000);
});

test('the private key stands in Secrets alone: not in status, events, ConfigMaps or hashes of them', async () => {
  const key = Buffer.from((await space.admin.get(secretPath('signed')))?.data['tls.key'] ?? '', 'base64').toString();
  const body = key.split('\n').find((line) => line.length === 64 && !line.startsWith('-----')) ?? 'no key';
  const everything = await Promise.all([
    space.admin.list(paths.core(space.name, 'configmaps')),
    space.admin.list(`/apis/events.k8s.io/v1/namespaces/${space.name}/events`),
    space.admin.list(paths.postern(space.name, 'dkimkeys')),
    space.admin.list(paths.core(space.name, 'pods')),
  ]);
  expect(body).toHaveLength(64);
  expect(JSON.stringify(everything)).not.toContain(body);
});
