// Commands on a namespace of a real API server, by people who may do different things there.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mtaStateOf } from '../../bundle/fixture.ts';
import type { Leg } from '../../bundle/leg.ts';
import { HopMarker } from '../../mta/hop-marks.ts';
import { portOf } from '../../mta/state-server.ts';
import { kinds } from '../../operator/api/index.ts';
import { managedByLabel } from '../../operator/compile/dkim-secret.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { Api, paths } from '../kubernetes/api.ts';
import { crdFolder } from '../kubernetes/namespace.ts';
import { postern } from './run.ts';

const editor = { name: 'editor', groups: ['tenants'] };
const viewer = { name: 'viewer', groups: ['tenants'] };
const stranger = { name: 'stranger', groups: ['tenants'] };
const cluster = useControlPlane({ identities: [editor, viewer, stranger] });

const mayList = (apiGroup: string, ...resources: readonly string[]) => ({
  apiGroups: [apiGroup],
  resources,
  verbs: ['get', 'list'],
});
const viewerRules = [
  mayList('postern.dev', ...kinds.map(({ plural }) => plural)),
  mayList('', 'configmaps', 'pods'),
  mayList('apps', 'statefulsets'),
];

const hopKey = 'A'.repeat(43);
const token = 'a-token-of-more-than-thirty-two-bytes';
let admin: Api;
let namespace = '';
let directory = '';
let pod: Server;
/** Absent a port, the pod answers as the first one does. */
let addPod: (name: string, port?: number) => Promise<void>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-rights-'));
  await cluster.current.installCrds(crdFolder);
  namespace = await cluster.freshNamespace('rights');
  admin = await Api.from(await cluster.current.kubeconfigFor('admin'));
  await grant(viewer.name, viewerRules);
  const mayWrite = { apiGroups: [''], resources: ['secrets'], verbs: ['create', 'patch'] };
  await grant(editor.name, [...viewerRules, mayList('', 'secrets'), mayWrite]);
  await fill();
});
afterAll(async () => {
  pod?.close();
  admin?.close();
  await rm(directory, { recursive: true, force: true });
});

async function grant(name: string, rules: readonly object[]): Promise<void> {
  const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
  const apiGroup = 'rbac.authorization.k8s.io';
  await admin.create(`${rbac}/roles`, {
    apiVersion: `${apiGroup}/v1`,
    kind: 'Role',
    metadata: { name },
    rules,
  });
  await admin.create(`${rbac}/rolebindings`, {
    apiVersion: `${apiGroup}/v1`,
    kind: 'RoleBinding',
    metadata: { name },
    roleRef: { apiGroup, kind: 'Role', name },
    subjects: [{ kind: 'User', name, apiGroup }],
  });
}

/** A domain with accounts, a Route with a password, a block list, and an MTA of one pod that has refused something. */
async function fill(): Promise<void> {
  const secret = (name: string, use: string, type: string, stringData: object, labels = {}) =>
    admin.create(paths.core(namespace, 'secrets'), {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, labels: { 'postern.dev/use': use, ...labels } },
      type,
      stringData,
    });
  await secret('relay', 'route-auth', 'kubernetes.io/basic-auth', { username: 'u', password: 'p' });
  await secret('accounts', 'accounts', 'Opaque', {
    'accounts.yaml': JSON.stringify([
      {
        name: 'alice@example.com',
        kind: 'User',
        hashes: [{ hash: `scrypt$16384$8$1$${'A'.repeat(22)}$${'A'.repeat(43)}`, label: 'laptop' }],
        sendAs: ['alice@example.com'],
      },
    ]),
  });
  const made = { [managedByLabel.name]: managedByLabel.value };
  await secret('postern-hop-key', 'hop-key', 'Opaque', { key: hopKey }, made);
  await secret('postern-default-state-token', 'state', 'Opaque', { token });
  await admin.create(paths.core(namespace, 'configmaps'), {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'postern-mta-default' },
    data: { 'mta.yaml': 'heloName: mx.example.com\n' },
  });
  await admin.create(paths.core(namespace, 'configmaps'), {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'postern-default-config' },
    data: { 'mta.json': JSON.stringify({ clusterRanges: ['127.0.0.0/8'] }) },
  });
  const object = (kind: string, plural: string, name: string, spec: object) =>
    admin.create(paths.postern(namespace, plural, name).replace(/\/[^/]+$/, ''), {
      apiVersion: 'postern.dev/v1alpha1',
      kind,
      metadata: { name },
      spec,
    });
  await object('Route', 'routes', 'relay', {
    host: 'relay.example.net',
    tls: { mode: 'Required' },
    authSecretRef: { name: 'relay' },
  });
  await object('MailDomain', 'maildomains', 'example-com', {
    domain: 'example.com',
    mailbox: { maildir: {} },
    recipients: { mode: 'List', addresses: ['alice'] },
    outboundRouting: [{ match: 'External', changeRoute: { name: 'relay' } }],
    submission: { enabled: true, accountsSecretRef: { name: 'accounts' } },
  });
  await object('IpAccessList', 'ipaccesslists', 'blocked', {
    action: 'Block',
    allDomains: true,
    entries: [{ address: '192.0.2.1', note: 'ticket 4711' }],
  });
  await startPod();
}

async function startPod(): Promise<void> {
  const labels = { 'postern.dev/mta': 'default' };
  const container = { name: 'mta', image: 'postern' };
  const workload = await admin.create(paths.apps(namespace, 'statefulsets'), {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'mail', labels: { ...labels, 'postern.dev/class': 'blue' } },
    spec: {
      serviceName: 'mail',
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container] } },
    },
  });
  pod = createServer((request, response) => {
    const answer = answers[`${request.method} ${request.url}`];
    const allowed = request.headers.authorization === `Bearer ${token}` && answer !== undefined;
    response.writeHead(allowed ? 200 : 401).end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => pod.listen(0, '127.0.0.1', resolve));
  addPod = async (name, port = portOf(pod)) => {
    await admin.create(paths.core(namespace, 'pods'), {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name,
        labels,
        annotations: { 'postern.dev/state-port': String(port) },
        ownerReferences: [
          {
            apiVersion: 'apps/v1',
            kind: 'StatefulSet',
            name: 'mail',
            uid: workload.metadata.uid,
            controller: true,
          },
        ],
      },
      spec: { containers: [container] },
    });
    await admin.mergePatch(`${paths.core(namespace, 'pods', name)}/status`, {
      status: { podIP: '127.0.0.1', podIPs: [{ ip: '127.0.0.1' }] },
    });
  };
  await addPod('mail-0');
}

const refusal = {
  time: 1_700_000_000,
  peer: '192.0.2.1',
  mailFrom: 'a@b.example',
  recipient: 'alice@example.com',
  reply: { code: 550, enhanced: '5.7.1', text: 'refused' },
  ref: 'ABCDEFGH',
  because: { kind: 'IpAccessList', name: 'blocked', generation: 1, entry: '192.0.2.1' },
};

/** What the pod says to whom has its token. */
const queued = {
  id: '0E3B.1.1',
  state: 'Deferred',
  arrived: 1_700_000_000,
  size: 700,
  attempts: 2,
  nextAttempt: 1_700_000_900,
  lastAnswer: null,
  domain: 'example.com',
  recipientDomain: 'b.example',
  destination: 'Route/out',
};
const partner = {
  domain: 'example.com',
  partner: 'partner.example',
  via: 'Mx',
  host: 'mx.partner.example',
  result: 'certificate-expired' as const,
  detail: 'CERT_HAS_EXPIRED',
};
const state = mtaStateOf({
  queue: { size: 3, deferred: 3 },
  legs: {
    accepted: 10,
    reports: 1,
    found: 2,
    adopted: 1,
    delivered: 8,
    bounced: 1,
    ledger: 1,
    handedOver: 1,
  },
  ledger: { suppressedNdrs: 1, backscatterAvoided: 0, doubleBounces: 0, expired: 1 },
  tlsFailures: [{ ...partner, failures: 2, lastFailure: 1_700_000_000 }],
});
const answers: Readonly<Record<string, unknown>> = {
  // A pod of a later version says more than is known here.
  'GET /state': { ...state, later: true },
  'GET /blocks': [refusal],
  'GET /queue': { total: 2, held: 0, mails: [queued], next: '2' },
  'GET /queue?after=2': { total: 2, held: 0, mails: [{ ...queued, id: '0E3B.1.2' }], next: null },
  'POST /queue/0E3B.1.1,0E3B.1.2/retry': {
    results: [
      { id: '0E3B.1.1', outcome: 'Done', detail: '' },
      { id: '0E3B.1.2', outcome: 'Refused', detail: 'is being delivered now' },
    ],
  },
};

/** Runs a command on the namespace as one of the identities. */
async function as(identity: { readonly name: string }, command: string, ...more: readonly string[]) {
  const kubeconfig = await cluster.current.kubeconfigFor(identity.name);
  return await postern(command, ...more, '-n', namespace, '--kubeconfig', kubeconfig);
}

const mail = ['--client-ip', '192.0.2.1', '--mail-from', 'a@b.example', '--rcpt', 'alice@example.com'];

describe('commands on a namespace', () => {
  it('explain, why and lint go on without Secrets where they may not be read, and say so', async () => {
    const full = await as(editor, 'explain', ...mail, '-o', 'json');
    expect(full.err).toBe('');
    const partial = await as(viewer, 'explain', ...mail, '-o', 'json');
    expect(partial.err).toMatch(/^note: Secrets of namespace rights-1 may not be listed/);
    expect([full.code, partial.code]).toEqual([1, 1]);
    expect(JSON.parse(partial.out)).toEqual(JSON.parse(full.out));
    const ref = /\(ref (\w{8})\)/.exec(full.out)?.[1] ?? '';
    const why = await as(viewer, 'why', ref);
    expect(why.out).toMatch(
      /IpAccessList\/blocked, generation 1\n {2}entry 192\.0\.2\.1\n {2}note {2}ticket 4711/,
    );
    const lint = await as(viewer, 'lint');
    expect(lint.out).toContain('3 objects, 0 errors');
    expect(lint.code).toBe(0);
  });

  it('R8: a Secret that is really missing is an error for whoever may read Secrets', async () => {
    await admin.remove(paths.core(namespace, 'secrets', 'relay'));
    const lint = await as(editor, 'lint');
    expect(lint.code).toBe(1);
    expect(lint.out).toMatch(/Route\/relay: ResolvedRefs: SecretNotFound: /);
    expect((await as(viewer, 'lint')).code).toBe(0);
  });

  it('--auth knows the accounts of the namespace, of those who may read them', async () => {
    const asAlice = [
      '--client-ip',
      '192.0.2.1',
      '--mail-from',
      'alice@example.com',
      '--rcpt',
      'b@example.net',
    ];
    expect((await as(editor, 'explain', ...asAlice, '--auth', 'alice@example.com')).code).toBe(0);
    expect((await as(viewer, 'explain', ...asAlice, '--auth', 'alice@example.com')).code).toBe(2);
  });

  it('P3: account --apply changes the Secret in the cluster, and only its accounts', async () => {
    const made = await as(editor, 'account', 'add', 'bob@example.com', '--label', 'phone', '--apply');
    expect([made.code, made.out]).toEqual([0, '']);
    expect(made.err).toMatch(
      /^Secret accounts is written\npassword of bob@example\.com \(phone\): [a-z2-9-]{29}\n$/,
    );
    const stored = await admin.get(paths.core(namespace, 'secrets', 'accounts'));
    expect(stored).toMatchObject({ type: 'Opaque', metadata: { labels: { 'postern.dev/use': 'accounts' } } });
    const listed = await as(editor, 'account', 'list', '-o', 'json');
    expect(JSON.parse(listed.out).accounts).toMatchObject([
      { name: 'alice@example.com', passwords: [{ label: 'laptop' }] },
      { name: 'bob@example.com', passwords: [{ label: 'phone' }] },
    ]);
    const gone = await as(editor, 'account', 'revoke', 'bob@example.com', '--all', '--apply');
    expect(gone.code, gone.err).toBe(0);
    const refused = await as(viewer, 'account', 'add', 'bob@example.com', '--apply');
    expect([refused.code, refused.out]).toEqual([1, '']);
    expect(refused.err).toMatch(/Secrets of the namespace may not be read/);
    expect(refused.err).not.toContain('password of');
  });

  it('render prints the policy of the MTA, without any secret; --diff needs a folder', async () => {
    const { code, out } = await as(editor, 'render', '-o', 'yaml');
    expect(code).toBe(0);
    expect(out).toContain('192.0.2.1');
    expect(out).not.toContain('scrypt$');
    const diff = await as(editor, 'render', '--diff');
    expect(diff.code).toBe(2);
    expect(diff.err).toContain('--diff');
  });

  it('dns prints what is to be published for the domains of the namespace', async () => {
    const { code, out } = await as(viewer, 'dns');
    expect(code).toBe(0);
    expect(out).toMatch(/example\.com +MX +10 mx\.example\.com\./);
  });

  it('G10: explain verifies marks of hops for those who may read the key, and says so to the others', async () => {
    const headers: [string, string][] = [
      ['From', 'a@b.example'],
      ['Message-ID', '<1@b.example>'],
    ];
    const leg: Leg = {
      domain: 'example.com',
      recipient: 'alice@example.com',
      hop: { kind: 'Route', route: 'relay' },
      purpose: 'Routed',
      onFailure: 'Dsn',
      because: { kind: 'MailDomain', name: 'example-com', generation: 1 },
    };
    const marks = new HopMarker(hopKey).marksFor(leg, headers, 'a@b.example', 0);
    const file = join(directory, 'marked.eml');
    const lines = [...headers, ...marks].map(([name, value]) => `${name}: ${value}\n`);
    await writeFile(file, `${lines.join('')}\nhello\n`);
    const ask = [...mail, '--client-ip', '192.0.2.9', '--message', file, '-o', 'json'];
    const [verified, guessed] = [await as(editor, 'explain', ...ask), await as(viewer, 'explain', ...ask)];
    expect(verified.err).toBe('');
    expect(JSON.parse(verified.out).hopMarks).toEqual([{ field: 'X-Postern-Hop', valid: true }]);
    expect(guessed.err).toMatch(/note: where the message has been is not verified/);
    expect(JSON.parse(guessed.out).hopMarks).toEqual([{ field: 'X-Postern-Hop', valid: null }]);
  });

  it('B5: blocks asks the pods of the MTA with its token; without the token it says why not', async () => {
    const { code, out, err } = await as(editor, 'blocks', '-o', 'json');
    expect(err).toBe('');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({ refusals: [refusal] });
    const refused = await as(viewer, 'blocks');
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/secrets is forbidden/);
  });

  it('G9, T12: status sums the mail of all pods that answer, and joins their TLS failures', async () => {
    await addPod('mail-1', 1);
    await addPod('mail-2');
    const { err, out } = await as(editor, 'status', '-o', 'json');
    expect(err).toMatch(/^note: pod mail-1 is left out: GET http:\/\/127\.0\.0\.1:1\/state failed: .+\n$/);
    const { mail: books, tlsFailures } = JSON.parse(out);
    expect(books).toEqual({
      pods: ['mail-0', 'mail-2'],
      accepted: 20,
      reports: 2,
      found: 4,
      adopted: 2,
      handedOver: 2,
      delivered: 16,
      bounced: 2,
      ledger: 2,
      queued: 6,
      unaccounted: 0,
      ledgerEntries: { suppressedNdrs: 2, backscatterAvoided: 0, doubleBounces: 0, expired: 2 },
    });
    expect(tlsFailures).toEqual([{ ...partner, failures: 4, lastFailure: 1_700_000_000 }]);
    expect((await as(editor, 'status')).out).toMatch(
      /Mail since mail-0, mail-2 started: 20 accepted [\s\S]*mx\.partner\.example +certificate-expired +4 +CERT_HAS_EXPIRED\n$/,
    );
    for (const name of ['mail-1', 'mail-2']) await admin.remove(paths.core(namespace, 'pods', name));
  });

  it('status shows the objects to whom may not ask the pods, and says so', async () => {
    const { err, out } = await as(viewer, 'status', '-o', 'json');
    expect(err).toMatch(/^note: no MTA is asked for its mail: .*secrets is forbidden/);
    const { objects, mail: books, tlsFailures } = JSON.parse(out);
    expect([objects.length, books, tlsFailures]).toEqual([3, undefined, []]);
  });

  it('queue asks the pods of the MTA with its token, page by page, and gives them orders', async () => {
    const { code, out, err } = await as(editor, 'queue', 'list', '-o', 'json');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(JSON.parse(out)).toEqual({
      mails: [
        { pod: 'mail-0', ...queued },
        { pod: 'mail-0', ...queued, id: '0E3B.1.2' },
      ],
    });
    const given = await as(editor, 'queue', 'retry', 'all', '--pod', 'mail-0');
    expect(given.out).toBe('mail-0  0E3B.1.1  on its way\nmail-0  0E3B.1.2  is being delivered now\n');
    expect(given.code).toBe(1);
    const other = await as(editor, 'queue', 'list', '--pod', 'mail-7');
    expect(other.code).toBe(2);
    expect(other.err).toMatch(
      /--pod mail-7: namespace .* has no such MTA pod with an address; there is mail-0/,
    );
    const refused = await as(viewer, 'queue', 'retry', 'all');
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/secrets is forbidden/);
  });

  it('somebody without rights is told what the API server refuses', async () => {
    const { code, err } = await as(stranger, 'status');
    expect(code).toBe(1);
    expect(err).toMatch(/^postern: .*is forbidden: User "stranger" cannot list resource/);
  });

  it('--context chooses, current or not; a context or kubeconfig that is not there is misuse', async () => {
    const config = JSON.parse(await readFile(await cluster.current.kubeconfigFor('admin'), 'utf8'));
    const [context] = config.contexts;
    const several = join(directory, 'several.json');
    await writeFile(
      several,
      JSON.stringify({ ...config, contexts: [{ ...context, name: 'other' }], 'current-context': '' }),
    );
    const on = (...more: readonly string[]) =>
      postern('lint', '-n', namespace, '--kubeconfig', several, ...more);
    expect((await on('--context', 'other')).out).toContain('3 objects');
    const absent = await on('--context', 'third');
    expect(absent.code).toBe(2);
    expect(absent.err).toContain('no context third: there is other');
    expect((await on()).code).toBe(2);
    const missing = await postern('lint', '-n', namespace, '--kubeconfig', join(directory, 'nothing'));
    expect(missing.code).toBe(2);
    expect(missing.err).toContain('--kubeconfig');
  });
});
