// What the operator may do in a cluster, held against what its pods have done there: the last of the files (vitest.e2e.config.ts).
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import * as z from 'zod';
import { clientAddresses } from '../cluster/node/addresses.ts';
import { waitFor } from '../kubernetes/namespace.ts';
import { operatorUser } from './setup.ts';
import { kubectl, object, Tenant } from './tenant.ts';

const binding = z.object({
  roleRef: z.object({ kind: z.enum(['Role', 'ClusterRole']), name: z.string() }),
  metadata: z.object({ namespace: z.string().optional() }),
  subjects: z
    .array(z.object({ kind: z.string(), namespace: z.string().optional(), name: z.string() }))
    .default([]),
});
const rule = z.object({
  apiGroups: z.array(z.string()),
  resources: z.array(z.string()),
  verbs: z.array(z.string()),
});
const event = z.object({
  verb: z.string(),
  objectRef: z
    .object({ apiGroup: z.string().default(''), resource: z.string(), subresource: z.string().optional() })
    .optional(),
  user: z.object({ username: z.string(), extra: z.record(z.string(), z.array(z.string())).default({}) }),
  annotations: z.record(z.string(), z.string()).default({}),
});

let violet: Tenant;

beforeAll(async () => {
  violet = await Tenant.create('violet');
  await violet.chart('install', {
    replicas: 1,
    settings: { heloName: 'mx.violet.example' },
    drain: { preStopSeconds: 6, graceSeconds: 10 },
    objects: {
      routes: { store: { host: clientAddresses[0] } },
      mailDomains: {
        main: {
          domain: 'violet.example',
          mailbox: { routeRef: { name: 'store' } },
          recipients: { mode: 'List', addresses: ['bob'] },
        },
      },
    },
  });
  await violet.wait('maildomain/main');
});

afterAll(async () => {
  await violet?.remove();
});

const list = async (...what: string[]): Promise<unknown[]> =>
  z.object({ items: z.array(z.unknown()) }).parse(JSON.parse(await kubectl(['get', ...what, '-o', 'json'])))
    .items;

/** `verb group/resource` of every rule of every role that the operator is bound to. */
async function granted(): Promise<string[]> {
  const bindings = [
    ...(await list('clusterrolebindings')),
    ...(await list('rolebindings', '--all-namespaces')),
  ].map((one) => binding.parse(one));
  const own = bindings.filter(({ subjects }) =>
    subjects.some(
      ({ kind, namespace, name }) =>
        kind === 'ServiceAccount' && `system:serviceaccount:${namespace}:${name}` === operatorUser,
    ),
  );
  const roles = new Map(
    own.map(({ roleRef, metadata }) => {
      const where = roleRef.kind === 'Role' ? ['-n', metadata.namespace ?? ''] : [];
      return [
        `${where.join(' ')} ${roleRef.name}`,
        [...where, 'get', roleRef.kind.toLowerCase(), roleRef.name],
      ];
    }),
  );
  const rights = new Set<string>();
  for (const role of roles.values()) {
    const { rules } = z
      .object({ rules: z.array(rule) })
      .parse(JSON.parse(await kubectl([...role, '-o', 'json'])));
    for (const { apiGroups, resources, verbs } of rules)
      for (const apiGroup of apiGroups)
        for (const resource of resources)
          for (const verb of verbs) rights.add(`${verb} ${apiGroup}/${resource}`);
  }
  return [...rights].sort();
}

/** The same of every request of the operator's pods that was allowed; a token that a test took from its account is no pod. */
async function used(): Promise<Set<string>> {
  const lines = (await readFile(inject('cluster').auditLog, 'utf8')).split('\n');
  // The last line may be half written.
  const events = lines.slice(0, -1).map((line) => event.parse(JSON.parse(line)));
  return new Set(
    events.flatMap(({ verb, objectRef, user, annotations }) => {
      const ofPod = user.extra['authentication.kubernetes.io/pod-name'] !== undefined;
      const allowed = annotations['authorization.k8s.io/decision'] === 'allow';
      if (objectRef === undefined || !ofPod || !allowed) return [];
      const { apiGroup, resource, subresource } = objectRef;
      return [`${verb} ${apiGroup}/${resource}${subresource === undefined ? '' : `/${subresource}`}`];
    }),
  );
}

test('OP4: what the charts grant the operator, minus what the audit log shows of its pods, is nothing', async () => {
  // What the other files leave out: the rest of the kinds, a key that goes with its object, an event that is repeated.
  const domainRefs = [{ name: 'main' }];
  await violet.apply(
    object('InboundGateway', 'filter', { domainRefs, addresses: ['192.0.2.2'] }),
    object('TlsPolicy', 'bank', {
      title: 'bank',
      domainRefs,
      directions: ['Inbound'],
      peerDomains: ['bank.example'],
    }),
    object('IpAccessList', 'spammers', { action: 'Block', domainRefs, addresses: ['192.0.2.1'] }),
    object('DkimKey', 'going', { domainRef: { name: 'main' }, secretRetention: 'Delete' }),
  );
  for (const one of ['inboundgateway/filter', 'tlspolicy/bank', 'ipaccesslist/spammers'])
    await violet.wait(one);
  await violet.wait('dkimkey/going', 'KeyGenerated');
  const index = 'configmap/postern-default-index';
  for (let time = 0; time < 2; time += 1) {
    await violet.kubectl(['delete', index]);
    await violet.kubectl(['wait', '--for=create', index, '--timeout=60s']);
  }
  await violet.kubectl(['delete', 'dkimkey/going', '--timeout=60s']);
  await violet.kubectl(['delete', 'maildomains,inboundgateways,tlspolicies,ipaccesslists', '--all']);

  const rights = await granted();
  expect(rights).toContain('patch apps/statefulsets');
  // Its Secret goes a minute after the DkimKey.
  await waitFor(
    'every right to be used; left over',
    async () => {
      const seen = await used();
      return rights.filter((right) => !seen.has(right));
    },
    (unused) => unused.length === 0,
    150_000,
  );
});
