// What RBAC and the admission policies leave to the operator's token, and to people, after a real install of the charts.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { kinds } from '../../operator/api/index.ts';
import type { CommandResult } from '../cluster/run-command.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { chartFolder, helm, render } from './helm.ts';
import { eventually, helmAs, installOperator, kubectlAsOperator } from './install.ts';
import { workloadsOf } from './workload.ts';

const people = ['viewer', 'editor', 'owner', 'stranger'];
const cluster = useControlPlane({ identities: people.map((name) => ({ name, groups: [] })) });
const values = `--values=${join(chartFolder('postern-tenant'), 'ci', 'default-values.yaml')}`;
let namespace: string;

const admin = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await cluster.current.kubectl('admin', args);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
  return stdout;
};

/** Gives somebody what the cluster's role view, edit or admin holds: no controller fills those here, so their parts are bound. */
async function give(user: string, ...aggregates: string[]): Promise<void> {
  for (const aggregate of aggregates) {
    const selector = `rbac.authorization.k8s.io/aggregate-to-${aggregate}=true`;
    const parts = (await admin('get', 'clusterroles', '-l', selector, '-o', 'name')).trim().split('\n');
    for (const part of parts) {
      const role = part.replace(/^.*\//, '');
      if (['view', 'edit'].includes(role)) continue;
      const name = `${user}-${aggregate}-${role}`.replaceAll(':', '-');
      await admin('-n', namespace, 'create', 'rolebinding', name, `--clusterrole=${role}`, `--user=${user}`);
    }
  }
}

beforeAll(async () => {
  await installOperator(cluster.current);
  namespace = await cluster.freshNamespace('tenant');
  await admin('label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=restricted', 'pod-security.kubernetes.io/warn=restricted');
  await give('viewer', 'view');
  await give('editor', 'view', 'edit');
  await give('owner', 'view', 'edit', 'admin');
  // CH1: what a tenant installs needs no more than the role admin in the namespace.
  await helmAs(cluster.current, 'owner', 'install', 'mail', namespace, 'postern-tenant', values);
});

describe('G4: who may do what with the six kinds', () => {
  const all = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'];
  const table: [string, string[]][] = [
    ['viewer', ['get', 'list', 'watch']],
    ['editor', all],
    ['owner', all],
    ['stranger', []],
  ];

  test.each(table)('G4: kubectl auth can-i of a %s says %s', async (user, verbs) => {
    const { stdout } = await cluster.current.kubectl(user, ['auth', 'can-i', '--list', '-n', namespace]);
    const granted = (resource: string) => {
      const lines = stdout.split('\n').filter((line) => line.split(/\s+/)[0] === resource);
      return new Set(lines.flatMap((line) => /\[([a-z ]*)\]\s*$/.exec(line)?.[1]?.split(' ') ?? []));
    };
    for (const { plural } of kinds) {
      expect(granted(`${plural}.postern.dev`), plural).toEqual(new Set(verbs));
      // Status is for the operator to write.
      expect(granted(`${plural}.postern.dev/status`), plural).toEqual(new Set());
    }
  });

  test('G4: a viewer sees a Route and cannot delete it', async () => {
    const route = { apiVersion: 'postern.dev/v1alpha1', kind: 'Route', metadata: { name: 'seen' }, spec: { host: 'mail.example' } };
    const apply = (user: string) => cluster.current.kubectl(user, ['-n', namespace, 'apply', '-f', '-'], JSON.stringify(route));
    expect((await apply('viewer')).stderr).toContain('forbidden');
    expect(await apply('editor')).toMatchObject({ code: 0 });
    expect(await cluster.current.kubectl('viewer', ['-n', namespace, 'get', 'mroute', 'seen'])).toMatchObject({ code: 0 });
    expect((await cluster.current.kubectl('viewer', ['-n', namespace, 'delete', 'mroute', 'seen'])).stderr).toContain('forbidden');
  });
});

describe('OP4: who may let the operator in', () => {
  const bind = (user: string, role: string) =>
    cluster.current.kubectl(user, ['-n', namespace, 'create', 'rolebinding', `try-${user}`, `--clusterrole=${role}`, '--serviceaccount=postern-system:postern', '--dry-run=server']);

  test('whoever administers the namespace, by this one role and no other', async () => {
    expect(await bind('owner', 'postern-namespace-operator')).toMatchObject({ code: 0 });
    expect((await bind('owner', 'cluster-admin')).stderr).toContain('attempting to grant RBAC permissions not currently held');
    expect((await bind('editor', 'postern-namespace-operator')).stderr).toContain('forbidden');
  });

  test('the operator has Secrets and pods there, and nowhere else', async () => {
    const may = async (verb: string, resource: string, where: string) =>
      (await kubectlAsOperator(cluster.current, ['auth', 'can-i', verb, resource, '-n', where])).stdout.trim();
    const other = await cluster.freshNamespace('other');
    expect([await may('list', 'secrets', namespace), await may('patch', 'pods', namespace), await may('patch', 'statefulsets.apps', namespace)]).toEqual(['yes', 'yes', 'yes']);
    expect([await may('list', 'secrets', other), await may('patch', 'pods', other), await may('list', 'maildomains.postern.dev', other)]).toEqual(['no', 'no', 'yes']);
    expect([await may('create', 'pods', namespace), await may('create', 'pods/exec', namespace)]).toEqual(['no', 'no']);
  });
});

describe('what the token of the operator cannot do', () => {
  const patch = (what: string, body: object, type = 'merge') =>
    kubectlAsOperator(cluster.current, ['-n', namespace, 'patch', what, `--type=${type}`, '-p', JSON.stringify(body)]);
  const denied = (what: string, body: object) =>
    eventually('a denial', () => patch(what, body), ({ code }) => code !== 0);
  const says = (resource: string) => `the operator may change nothing of ${resource} but annotations that begin with postern.dev/`;
  const pod = 'pod/mail-0';
  const statefulSet = 'statefulset/mail';

  beforeAll(async () => {
    // What the StatefulSet controller would make of the template; Pod Security "restricted" is enforced in the namespace.
    const [mta] = workloadsOf(await render('postern-tenant', { files: ['default-values.yaml'] }));
    const { metadata, spec } = { metadata: { name: 'mail-0', namespace, labels: mta?.labels }, spec: mta?.pod };
    const volumes = [...(spec?.volumes ?? []), { name: 'spool', emptyDir: {} }];
    const made = await cluster.current.kubectl('admin', ['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata, spec: { ...spec, volumes } }));
    expect(made).toMatchObject({ code: 0, stderr: '' });
  });

  const container = (change: object) => ({ name: 'mta', ...change });
  const podChanges: [string, object][] = [
    ['image', { spec: { containers: [container({ image: 'evil:1' })] } }],
    ['labels', { metadata: { labels: { 'postern.dev/mta': 'other' } } }],
    ['a foreign annotation', { metadata: { annotations: { 'example.com/x': 'y' } } }],
    ['a lookalike annotation', { metadata: { annotations: { 'postern.device/x': 'y' } } }],
    ['finalizers', { metadata: { finalizers: ['postern.dev/x'] } }],
  ];

  test.each(podChanges)('change %s of a pod', async (_, change) => {
    const strategic = () => patch(pod, change, 'strategic');
    expect((await eventually('a denial', strategic, ({ code }) => code !== 0)).stderr).toContain(says('pods'));
  });

  const template = (change: object) => ({ spec: { template: change } });
  const statefulSetChanges: [string, object][] = [
    ['the image', template({ spec: { containers: [container({ image: 'evil:1' })] } })],
    ['the command', template({ spec: { containers: [container({ command: ['sh'] })] } })],
    ['a sidecar', template({ spec: { containers: [{ name: 'evil', image: 'evil:1' }] } })],
    ['labels of the template', template({ metadata: { labels: { 'example.com/x': 'y' } } })],
    ['a foreign annotation of the template', template({ metadata: { annotations: { 'example.com/x': 'y' } } })],
    ['the number of replicas', { spec: { replicas: 0 } }],
    ['the update strategy', { spec: { updateStrategy: { type: 'OnDelete' } } }],
    ['what becomes of volumes', { spec: { persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Delete', whenScaled: 'Delete' } } }],
    ['its own labels', { metadata: { labels: { 'postern.dev/class': 'mine' } } }],
    ['its own annotations', { metadata: { annotations: { 'postern.dev/x': 'y' } } }],
  ];

  test.each(statefulSetChanges)('change %s of a StatefulSet', async (_, change) => {
    const strategic = () => patch(statefulSet, change, 'strategic');
    expect((await eventually('a denial', strategic, ({ code }) => code !== 0)).stderr).toContain(says('statefulsets'));
  });

  test('do anything else with pods, though a role were to let it', async () => {
    await admin('create', 'clusterrolebinding', 'careless', '--clusterrole=cluster-admin', '--serviceaccount=postern-system:postern');
    const only = 'the operator may do nothing with pods but update their annotations';
    const attempts = [
      ['delete', 'pod', 'mail-0', '--dry-run=server'],
      ['run', 'own', '--image=evil:1', '--dry-run=server'],
      ['exec', 'mail-0', '--', 'id'],
    ];
    const results: CommandResult[] = [];
    for (const attempt of attempts) {
      results.push(await eventually('a denial by the policy', () => kubectlAsOperator(cluster.current, ['-n', namespace, ...attempt]), ({ stderr }) => stderr.includes(only)));
    }
    await admin('delete', 'clusterrolebinding', 'careless');
    expect(results.map(({ code }) => code === 0)).toEqual([false, false, false]);
  });

  test('and what it can: annotations of ours on pods and on the template', async () => {
    await denied(pod, { metadata: { labels: { 'example.com/x': 'y' } } });
    expect(await patch(pod, { metadata: { annotations: { 'postern.dev/bundle': 'abc.1' } } })).toMatchObject({ code: 0 });
    expect(await patch(pod, { metadata: { annotations: { 'postern.dev/bundle': null } } })).toMatchObject({ code: 0 });
    const marks = { 'postern.dev/config-hash': 'abc', 'postern.dev/rolled-for': 'configmap/postern-mta-default' };
    expect(await patch(statefulSet, template({ metadata: { annotations: marks } }))).toMatchObject({ code: 0 });
  });

  test('the policies bind nobody else', async () => {
    await denied(pod, { metadata: { labels: { 'example.com/x': 'y' } } });
    await admin('-n', namespace, 'label', 'pod', 'mail-0', 'example.com/x=y');
    expect(await cluster.current.kubectl('owner', ['-n', namespace, 'patch', statefulSet, '-p', '{"spec":{"replicas":3}}'])).toMatchObject({ code: 0 });
  });
});

describe('the life of a release', () => {
  const annotationsOf = async () =>
    z.record(z.string(), z.string()).parse(JSON.parse(await admin('-n', namespace, 'get', 'statefulset', 'mail', '-o', 'jsonpath={.spec.template.metadata.annotations}')));

  test('CH17: helm upgrade leaves the annotations that the operator rolls by', async () => {
    const body = { apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name: 'mail', namespace }, spec: { template: { metadata: { annotations: { 'postern.dev/config-hash': 'def' } } } } };
    const rolled = await kubectlAsOperator(cluster.current, ['apply', '--server-side', '--force-conflicts', '--field-manager=postern', '-f', '-'], JSON.stringify(body));
    expect(rolled).toMatchObject({ code: 0 });
    await helmAs(cluster.current, 'owner', 'upgrade', 'mail', namespace, 'postern-tenant', values, '--set=podAnnotations.example\\.com/new=yes');
    expect(await annotationsOf()).toMatchObject({ 'postern.dev/config-hash': 'def', 'example.com/new': 'yes' });
  });

  test('R3: helm uninstall takes Routes in use along, at the second try at the latest', async () => {
    const full = `--values=${join(chartFolder('postern-tenant'), 'ci', 'full-values.yaml')}`;
    const plain = ['metrics.serviceMonitor.enabled=false', 'tls.certManager.enabled=false', 'tls.secretName=mx-tls'].map((set) => `--set=${set}`);
    await helmAs(cluster.current, 'owner', 'install', 'second', namespace, 'postern-tenant', full, ...plain);
    const denial = () => cluster.current.kubectl('owner', ['-n', namespace, 'delete', 'mroute', 'mailbox', '--dry-run=server']);
    await eventually('the Route to be in use', denial, ({ stderr }) => stderr.includes('is used by MailDomain example-com'));
    const kubeconfig = await cluster.current.kubeconfigFor('owner');
    const uninstall = () => helm('uninstall', 'second', `--namespace=${namespace}`, `--kubeconfig=${kubeconfig}`);
    const results = [await uninstall()];
    if (results[0]?.code !== 0) results.push(await uninstall());
    expect(results.at(-1)).toMatchObject({ code: 0 });
    expect(await admin('-n', namespace, 'get', 'postern', '-l', 'app.kubernetes.io/instance=second', '-o', 'name')).toBe('');
  });

  test('CRD15: helm uninstall of the CRDs leaves them and every object', async () => {
    const kubeconfig = await cluster.current.kubeconfigFor('admin');
    const { code } = await helm('uninstall', 'postern-crds', '--namespace=postern-system', `--kubeconfig=${kubeconfig}`);
    expect(code).toBe(0);
    expect(await admin('-n', namespace, 'get', 'mroute', 'seen', '-o', 'name')).toContain('seen');
    const names = readFileSync(join(chartFolder('postern-crds'), 'templates', 'routes.yaml'), 'utf8');
    expect(names).toContain('routes.postern.dev');
  });
});
