// A signing key from the manifest to the DNS record: one key, made once, published with nsupdate, and kept whatever happens.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kinds } from '../../operator/api/index.ts';
import { namespaceRules } from '../../operator/crd/rbac.ts';
import type { RunningOperator } from '../../operator/operator.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { type FaultProxy, type SeenRequest, startFaultProxy } from '../faults/proxy.ts';
import { recordFaults } from '../faults/record.ts';
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
/** Milliseconds that the operator's clock is ahead of this machine's. */
const clock = { ahead: 0 };
/** Sees what the operator asks for. */
let proxy: FaultProxy;

beforeAll(async () => {
  server = await startNameServer({
    '.': [
      '@ NS ns.signed.example.',
      'signed.example. NS ns.signed.example.',
      'ns.signed.example. A 192.0.2.53',
    ],
    'signed.example': ['@ NS ns.signed.example.', 'ns A 192.0.2.53'],
  });
  resolver = await startResolver(server.server);
  await cluster.current.installCrds(crdFolder);
  space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('dkim'));
  kubelet = await Kubelet.start(space.admin, space.name, 'default', 1);
  await kubelet.addPod('mail-0');
  proxy = await startFaultProxy(cluster.current);
  operator = await startOperator();
  await space.apply(
    {
      apiVersion: 'postern.dev/v1alpha1',
      kind: 'MailDomain',
      metadata: { name: 'signed' },
      spec: {
        domain: 'signed.example',
        mailbox: { maildir: {} },
        recipients: { mode: 'List', addresses: ['bob'] },
      },
    },
    dkimKey('signed', 'one'),
  );
});

afterAll(async () => {
  await operator?.stop();
  await kubelet?.stop();
  await proxy?.stop();
  await resolver?.stop();
  await server?.stop();
  space?.admin.close();
});

function startOperator(): Promise<RunningOperator> {
  const dns = { authoritativeServer: () => server.server };
  const now = () => Date.now() + clock.ahead;
  return startOperatorIn(space, { slowPollMs: 500, resolvers: [resolver.server], dns, now }, proxy.url);
}

function dkimKey(name: string, selector: string, spec: object = {}): object {
  return {
    apiVersion: 'postern.dev/v1alpha1',
    kind: 'DkimKey',
    metadata: { name },
    spec: { domainRef: { name: 'signed' }, selector, verification: { mode: 'Automatic' }, ...spec },
  };
}

const secretPath = (name: string) => paths.core(space.name, 'secrets', `postern-dkim-${name}`);

async function recordOf(name: string): Promise<{ name: string; value: string; chunks: string[] }> {
  const object = await space.admin.get(paths.postern(space.name, 'dkimkeys', name));
  const record: unknown = object?.status?.['dnsRecord'];
  if (
    typeof record !== 'object' ||
    record === null ||
    !('name' in record) ||
    !('value' in record) ||
    !('chunks' in record)
  ) {
    throw new Error(`DkimKey ${name} has no record`);
  }
  const { name: host, value, chunks } = record;
  return {
    name: String(host),
    value: String(value),
    chunks: Array.isArray(chunks) ? chunks.map(String) : [],
  };
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

test('D3, O5, K11: the records of the domain are looked at, told in its status, and looked for again within minutes', async () => {
  await space.waitForCondition('maildomains', 'signed', 'MxReady', /^False\/RecordNotFound/);
  await space.waitForCondition('maildomains', 'signed', 'SpfReady', /^False\/RecordNotFound/);
  await space.waitForCondition('maildomains', 'signed', 'DmarcReady', /^False\/RecordNotFound/);
  // None of them counts for Ready.
  await space.waitForCondition('maildomains', 'signed', 'Ready', /^True/);
  await server.update(
    'update add signed.example. 1 MX 10 mx.example.com.',
    'update add signed.example. 1 TXT "v=spf1 ip4:192.0.2.1 -all"',
    'update add _dmarc.signed.example. 1 TXT "v=DMARC1; p=reject"',
  );
  clock.ahead += 5 * 60_000;
  await space.waitForCondition('maildomains', 'signed', 'DmarcReady', /^True.*Policy reject/);
  await space.waitForCondition('maildomains', 'signed', 'SpfReady', /^Unknown\/NotChecked.*egressAddresses/);
  await space.waitForCondition('maildomains', 'signed', 'MxReady', /^True/);
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
  const restored = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, labels, annotations },
    data: before?.data,
  };
  await space.admin.create(paths.core(space.name, 'secrets'), restored);
  await space.waitForCondition('dkimkeys', 'signed', 'Ready', /^True/, 10_000);
  recordFaults(1);
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
  await space.waitForCondition(
    'dkimkeys',
    'signed',
    'KeyGenerated',
    /^False\/InvalidKey.*another key/,
    10_000,
  );
  expect((await space.admin.get(secretPath('signed')))?.data).toEqual(other);

  await space.admin.mergePatch(secretPath('signed'), { data: good });
  await space.waitForCondition('dkimkeys', 'signed', 'Ready', /^True/, 10_000);
  recordFaults(2);
});

test('K5: secretRetention: Delete lets the Secret go after its DkimKey, not with one that is replaced', async () => {
  const going = dkimKey('going', 'three', { secretRetention: 'Delete' });
  const secret = () => space.admin.get(secretPath('going'));
  const note = async () => (await secret())?.metadata.annotations['postern.dev/delete-after'];
  const isGone = async () =>
    (await space.admin.get(paths.postern(space.name, 'dkimkeys', 'going'))) === undefined;
  await space.apply(going);
  await space.waitForCondition('dkimkeys', 'going', 'KeyGenerated', /^True/);
  const made = await secret();
  expect(made?.metadata.ownerReferences).toEqual([]);
  await waitFor(
    'the finalizer',
    async () => (await space.admin.get(paths.postern(space.name, 'dkimkeys', 'going')))?.metadata.finalizers,
    (finalizers) => finalizers?.includes('postern.dev/key-secret') === true,
  );

  // Deleted and made anew at once, as `kubectl replace --force` and a re-sync do: one key, no note.
  await space.kubectl(['replace', '--force', '-f', '-'], JSON.stringify(going));
  await space.waitForCondition('dkimkeys', 'going', 'KeyGenerated', /^True/);
  await waitFor('the note to be taken away', note, (time) => time === undefined);
  clock.ahead += 3_600_000;
  await space.apply(dkimKey('later', 'four'));
  await space.waitForCondition('dkimkeys', 'later', 'KeyGenerated', /^True/);
  expect((await secret())?.data).toEqual(made?.data);

  // An operator that is away when the object is deleted does it afterwards.
  await operator.stop();
  await space.kubectl(['delete', 'dkimkey', 'going', 'later', '--wait=false']);
  operator = await startOperator();
  await waitFor('the object to be gone', isGone, (gone) => gone);
  expect(Date.parse((await note()) ?? '')).toBeGreaterThan(Date.now());
  expect((await secret())?.data).toEqual(made?.data);
  clock.ahead += 61_000;
  await waitFor('the Secret to be gone', secret, (object) => object === undefined);
  // The other one said nothing: its Secret stays.
  expect((await space.admin.get(secretPath('later')))?.metadata.annotations).not.toHaveProperty([
    'postern.dev/delete-after',
  ]);
});

test('OP7: the private key stands in Secrets alone: not in status, events, ConfigMaps or hashes of them', async () => {
  const key = Buffer.from(
    (await space.admin.get(secretPath('signed')))?.data['tls.key'] ?? '',
    'base64',
  ).toString();
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

test('OP4: every right that the operator has is one that it uses', async () => {
  await space.admin.create(paths.core(space.name, 'persistentvolumeclaims'), {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name: 'spool-mail-default-0',
      labels: { 'postern.dev/mta': 'default' },
      // Its pod is there: what was noted is out of date.
      annotations: { 'postern.dev/queued': '3' },
    },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  });
  // What the tests above left out: other kinds, a Route in use, an event that is repeated, a roll, and shards that go.
  const domainRefs = [{ name: 'routed' }];
  const object = (kind: string, spec: object) => ({
    apiVersion: 'postern.dev/v1alpha1',
    kind,
    metadata: { name: 'x' },
    spec,
  });
  await space.apply(
    object('IpAccessList', { action: 'Block', domainRefs, addresses: ['192.0.2.1'] }),
    object('InboundGateway', { domainRefs, addresses: ['192.0.2.2'] }),
    object('TlsPolicy', { title: 'x', domainRefs, directions: ['Inbound'], peerDomains: ['bank.example'] }),
    {
      apiVersion: 'postern.dev/v1alpha1',
      kind: 'Route',
      metadata: { name: 'mailbox' },
      spec: { host: '127.0.0.1', port: 2599, protocol: 'SMTP', tls: { mode: 'Disabled' } },
    },
    {
      apiVersion: 'postern.dev/v1alpha1',
      kind: 'MailDomain',
      metadata: { name: 'routed' },
      spec: {
        domain: 'routed.example',
        mailbox: { routeRef: { name: 'mailbox' } },
        recipients: { mode: 'List', addresses: ['bob'] },
      },
    },
  );
  await space.waitForCondition('maildomains', 'routed', 'Ready', /^True/);
  const index = paths.core(space.name, 'configmaps', 'postern-default-index');
  for (let time = 0; time < 2; time += 1) {
    await space.admin.remove(index);
    await waitFor(
      'the index to be back',
      () => space.admin.get(index),
      (object) => object !== undefined,
    );
  }
  await space.admin.mergePatch(paths.core(space.name, 'configmaps', 'postern-mta-default'), {
    data: { 'mta.yaml': 'heloName: mx2.example.com\n' },
  });
  await space.kubectl(['delete', kinds.map(({ plural }) => plural).join(','), '--all', '--timeout=30s']);

  const allowed = namespaceRules(kinds).flatMap(({ resources, verbs }) =>
    resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}`)),
  );
  await waitFor(
    'all rights to be used; left over',
    () => {
      const used = new Set(proxy.requests.map(rightOf));
      return allowed.filter((right) => !used.has(right));
    },
    (unused) => unused.length === 0,
  );
});

const writingVerbs: Readonly<Record<string, string>> = {
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/** What a request needs, as `verb resource`. */
function rightOf({ method, kind, path, plural }: SeenRequest): string {
  const verb = kind === 'write' ? writingVerbs[method] : kind;
  return `${verb} ${plural}${path.endsWith('/status') ? '/status' : ''}`;
}
