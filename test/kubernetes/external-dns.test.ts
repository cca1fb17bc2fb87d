// The record of a key by way of external-dns: the DNSEndpoint that its CRD source reads. The kind is declared here as external-dns
// v0.22 has it, as far as it is used; what external-dns makes of it is not tried.
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { externalDnsRules } from '../../operator/crd/rbac.ts';
import type { RunningOperator } from '../../operator/operator.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { dkimKey, mailDomain } from '../faults/fixtures.ts';
import { type FaultProxy, startFaultProxy } from '../faults/proxy.ts';
import { type KubeObject, paths } from './api.ts';
import { Kubelet } from './kubelet.ts';
import { crdFolder, TestNamespace, tenant, waitFor } from './namespace.ts';
import { startOperatorIn } from './operator.ts';

const cluster = useControlPlane({ identities: [tenant] });
const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const kindName = 'dnsendpoints.externaldns.k8s.io';

let space: TestNamespace;
let kubelet: Kubelet;
let proxy: FaultProxy;
let operator: RunningOperator;

beforeAll(async () => {
  await cluster.current.installCrds(crdFolder);
});
beforeEach(async () => {
  space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('external-dns'));
  kubelet = await Kubelet.start(space.admin, space.name, 'default', 1);
  proxy = await startFaultProxy(cluster.current);
  operator = await startOperator();
  await space.apply(mailDomain('a', 'a.example'));
});
afterEach(async () => {
  await operator?.stop();
  await kubelet?.stop();
  await proxy?.stop();
  space?.admin.close();
});

const startOperator = () => startOperatorIn(space, { slowPollMs: 200 }, proxy.url);

/** The CRD of external-dns, in the part that matters. */
async function installKind(): Promise<void> {
  const endpoint = {
    type: 'object',
    properties: {
      dnsName: { type: 'string' },
      recordType: { type: 'string' },
      recordTTL: { type: 'integer', format: 'int64' },
      targets: { type: 'array', items: { type: 'string' } },
    },
  };
  const spec = { type: 'object', properties: { endpoints: { type: 'array', items: endpoint } } };
  const openAPIV3Schema = { type: 'object', properties: { spec } };
  if ((await space.admin.get(`${crds}/${kindName}`)) !== undefined) return;
  await space.admin.create(crds, {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: kindName,
      annotations: {
        'api-approved.kubernetes.io': 'https://github.com/kubernetes-sigs/external-dns/pull/2007',
      },
    },
    spec: {
      group: 'externaldns.k8s.io',
      names: {
        kind: 'DNSEndpoint',
        plural: 'dnsendpoints',
        singular: 'dnsendpoint',
        listKind: 'DNSEndpointList',
      },
      scope: 'Namespaced',
      versions: [{ name: 'v1alpha1', served: true, storage: true, schema: { openAPIV3Schema } }],
    },
  });
  await waitFor(
    'the kind to be served',
    async () => (await space.admin.request('GET', endpointPath())).status,
    (status) => status === 200,
  );
}

/** What the value rbac.externalDns of the chart adds. */
async function grant(): Promise<void> {
  const role = `/apis/rbac.authorization.k8s.io/v1/namespaces/${space.name}/roles/postern-operator`;
  const rules = (await space.admin.get(role))?.['rules'];
  await space.admin.mergePatch(role, {
    rules: [...(Array.isArray(rules) ? rules : []), ...externalDnsRules()],
  });
}

const endpointPath = (name?: string) =>
  `/apis/externaldns.k8s.io/v1alpha1/namespaces/${space.name}/dnsendpoints${name === undefined ? '' : `/${name}`}`;
const endpoint = () => space.admin.get(endpointPath('postern-dkim-key'));
const specOf = (object: KubeObject | undefined) => JSON.stringify(object?.['spec']);
const writes = () =>
  proxy.requests.filter(({ kind, plural }) => kind === 'write' && plural === 'dnsendpoints').length;
const warning = (expected: RegExp) => space.waitForCondition('dkimkeys', 'key', 'RecordNotWritten', expected);

async function statusOf(): Promise<NonNullable<KubeObject['status']>> {
  return (await space.admin.get(paths.postern(space.name, 'dkimkeys', 'key')))?.status ?? {};
}

/** Reconciles that began and ended from now on. */
async function reconciles(count: number): Promise<void> {
  const total = async () => {
    const text = await (await fetch(`http://127.0.0.1:${operator.httpPort}/metrics`)).text();
    return Number(/^postern_reconcile_total\{[^}]*result="ok"\} (\d+)$/m.exec(text)?.[1] ?? 0);
  };
  const before = await total();
  await waitFor(`${count} reconciles`, total, (now) => now >= before + count);
}

function keyWith(dns: object): object {
  const key = dkimKey('key', 'a');
  const spec = { domainRef: { name: 'a' }, verification: { mode: 'OnRequest' }, dns };
  return { ...key, spec };
}

test('K6: without rights and without the kind a warning says so, nothing is tried to write, and the key is made as ever', async () => {
  await space.apply(keyWith({ publish: 'ExternalDNS' }));
  await warning(/^True\/Forbidden: .*DNSEndpoints/);
  await grant();
  await warning(/^True\/KindNotInstalled: /);
  expect(await space.condition('dkimkeys', 'key', 'Accepted')).toMatch(/^True/);
  expect(await space.condition('dkimkeys', 'key', 'KeyGenerated')).toMatch(/^True/);
  await reconciles(3);
  expect(writes()).toBe(0);

  // Somebody installs external-dns: no restart, no edit.
  await installKind();
  await warning(/^none/);
  expect(await endpoint()).toBeDefined();
});

test('K6: the DNSEndpoint says what status.dnsRecord says, quoted or raw, and is written only when it differs', async () => {
  await installKind();
  await grant();
  await space.apply(keyWith({ publish: 'ExternalDNS', ttlSeconds: 300 }));
  const made = await waitFor('the DNSEndpoint', endpoint, (object) => object !== undefined);
  const { dnsRecord, dnsEndpointRef } = await statusOf();
  const { name, value, chunks } = Object(dnsRecord);
  expect(made?.['spec']).toEqual({
    endpoints: [
      {
        dnsName: name,
        recordType: 'TXT',
        recordTTL: 300,
        targets: [chunks.map((chunk: string) => `"${chunk}"`).join(' ')],
      },
    ],
  });
  expect(name).toBe('postern._domainkey.a.example');
  expect(dnsEndpointRef).toEqual({ name: 'postern-dkim-key' });
  const owner = await space.admin.get(paths.postern(space.name, 'dkimkeys', 'key'));
  expect(made?.metadata.ownerReferences).toMatchObject([
    { kind: 'DkimKey', name: 'key', uid: owner?.metadata.uid, controller: true },
  ]);

  await reconciles(3);
  expect((await endpoint())?.metadata.resourceVersion).toBe(made?.metadata.resourceVersion);
  expect(writes()).toBe(1);

  // Whoever changes it by hand does not change it for long.
  await space.admin.mergePatch(endpointPath('postern-dkim-key'), { spec: { endpoints: [] } });
  await waitFor('it to be restored', endpoint, (object) => specOf(object) === specOf(made));

  await space.apply(keyWith({ publish: 'ExternalDNS', targetFormat: 'Raw', ttlSeconds: 600 }));
  const raw = await waitFor('the raw form', endpoint, (object) => specOf(object)?.includes('600') === true);
  expect(raw?.['spec']).toMatchObject({ endpoints: [{ recordTTL: 600, targets: [value] }] });
});

test('K6: publish None takes the DNSEndpoint away, also by an operator that did not write it', async () => {
  await installKind();
  await grant();
  await space.apply(keyWith({ publish: 'ExternalDNS' }));
  await waitFor('the DNSEndpoint', endpoint, (object) => object !== undefined);
  await operator.stop();
  await space.apply(keyWith({ publish: 'None' }));
  operator = await startOperator();
  await waitFor('it to be gone', endpoint, (object) => object === undefined);
  await waitFor('status to forget it', statusOf, (status) => status['dnsEndpointRef'] === undefined);
  const before = writes();
  await reconciles(3);
  expect(writes()).toBe(before);
});

test('K6: a DNSEndpoint that somebody else made is left as it is', async () => {
  await installKind();
  await grant();
  const foreign = {
    apiVersion: 'externaldns.k8s.io/v1alpha1',
    kind: 'DNSEndpoint',
    metadata: { name: 'postern-dkim-key' },
    spec: { endpoints: [{ dnsName: 'www.a.example', recordType: 'A', targets: ['192.0.2.1'] }] },
  };
  const made = await space.admin.create(endpointPath(), foreign);
  await space.apply(keyWith({ publish: 'ExternalDNS' }));
  await warning(/^True\/NameTaken: DNSEndpoint postern-dkim-key exists/);
  await space.apply(keyWith({ publish: 'None' }));
  await waitFor('status to forget it', statusOf, (status) => status['dnsEndpointRef'] === undefined);
  expect((await endpoint())?.metadata.resourceVersion).toBe(made.metadata.resourceVersion);
});
