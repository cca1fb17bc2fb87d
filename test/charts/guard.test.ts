// What RBAC and the admission policies leave to the operator's token, and to people, after a real install of the charts.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { kinds } from '../../operator/api/index.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { type Answer, Api, paths } from '../kubernetes/api.ts';
import { waitFor } from '../kubernetes/namespace.ts';
import { chartFolder, helm, render } from './helm.ts';
import { helmAs, installOperator, kubectlAsOperator, operatorAccount, operatorNamespace } from './install.ts';
import { type PodSpec, workloadsOf } from './workload.ts';

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
  await admin(
    'label',
    'namespace',
    namespace,
    'pod-security.kubernetes.io/enforce=restricted',
    'pod-security.kubernetes.io/warn=restricted',
  );
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
    const route = {
      apiVersion: 'postern.dev/v1alpha1',
      kind: 'Route',
      metadata: { name: 'seen' },
      spec: { host: 'mail.example' },
    };
    const apply = (user: string) =>
      cluster.current.kubectl(user, ['-n', namespace, 'apply', '-f', '-'], JSON.stringify(route));
    expect((await apply('viewer')).stderr).toContain('forbidden');
    expect(await apply('editor')).toMatchObject({ code: 0 });
    expect(await cluster.current.kubectl('viewer', ['-n', namespace, 'get', 'mroute', 'seen'])).toMatchObject(
      { code: 0 },
    );
    expect(
      (await cluster.current.kubectl('viewer', ['-n', namespace, 'delete', 'mroute', 'seen'])).stderr,
    ).toContain('forbidden');
  });
});

describe('OP4: who may let the operator in', () => {
  const bind = (user: string, role: string) =>
    cluster.current.kubectl(user, [
      '-n',
      namespace,
      'create',
      'rolebinding',
      `try-${user}`,
      `--clusterrole=${role}`,
      '--serviceaccount=postern-system:postern',
      '--dry-run=server',
    ]);

  test('whoever administers the namespace, by this one role and no other', async () => {
    expect(await bind('owner', 'postern-namespace-operator')).toMatchObject({ code: 0 });
    expect((await bind('owner', 'cluster-admin')).stderr).toContain(
      'attempting to grant RBAC permissions not currently held',
    );
    expect((await bind('editor', 'postern-namespace-operator')).stderr).toContain('forbidden');
  });

  test('the operator has Secrets and pods there, and nowhere else', async () => {
    const may = async (verb: string, resource: string, where: string) =>
      (
        await kubectlAsOperator(cluster.current, ['auth', 'can-i', verb, resource, '-n', where])
      ).stdout.trim();
    const other = await cluster.freshNamespace('other');
    expect([
      await may('list', 'secrets', namespace),
      await may('patch', 'pods', namespace),
      await may('patch', 'statefulsets.apps', namespace),
    ]).toEqual(['yes', 'yes', 'yes']);
    expect([
      await may('list', 'secrets', other),
      await may('patch', 'pods', other),
      await may('list', 'maildomains.postern.dev', other),
    ]).toEqual(['no', 'no', 'yes']);
    expect([await may('create', 'pods', namespace), await may('create', 'pods/exec', namespace)]).toEqual([
      'no',
      'no',
    ]);
  });
});

describe('what the token of the operator cannot do', () => {
  // Plain requests: kubectl patch reads the object first, and the operator may not even do that.
  let operator: Api;
  let template: { labels: Readonly<Record<string, string>>; pod: PodSpec };
  const patch = (path: string, body: object, type = 'application/strategic-merge-patch+json') =>
    operator.request('PATCH', path, body, type);
  const pod = () => paths.core(namespace, 'pods', 'mail-0');
  const statefulSet = () => paths.apps(namespace, 'statefulsets', 'mail');
  const mayChange = (resource: string) =>
    `the operator may change nothing of ${resource} but annotations that begin with postern.dev/`;
  const mayDo = 'the operator may do nothing with pods but update their annotations';

  /** Waits until the policies are in force for this request. @returns what the API server says */
  async function denial(request: () => Promise<Answer>): Promise<string> {
    const answer = await waitFor('a denial by the policy', request, ({ status }) => status >= 400);
    return z.looseObject({ message: z.string() }).parse(answer.body).message;
  }

  beforeAll(async () => {
    // What the StatefulSet controller would make of the template; Pod Security "restricted" is enforced in the namespace.
    const [mta] = workloadsOf(await render('postern-tenant', { files: ['default-values.yaml'] }));
    if (mta === undefined) throw new Error('the chart renders no StatefulSet');
    const volumes = [...mta.pod.volumes, { name: 'spool', emptyDir: { sizeLimit: '1Gi' } }];
    template = { labels: mta.labels, pod: { ...mta.pod, volumes } };
    const made = await cluster.current.kubectl(
      'admin',
      ['apply', '-f', '-'],
      JSON.stringify(podNamed('mail-0')),
    );
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const { current } = cluster;
    operator = await Api.from(await current.kubeconfigForServiceAccount(operatorNamespace, operatorAccount));
  });
  afterAll(() => operator.close());

  const podNamed = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: template.labels },
    spec: template.pod,
  });

  const container = (change: object) => ({ name: 'mta', ...change });
  const podChanges: [string, object][] = [
    ['the image', { spec: { containers: [container({ image: 'evil:1' })] } }],
    ['labels', { metadata: { labels: { 'postern.dev/mta': 'other' } } }],
    ['a foreign annotation', { metadata: { annotations: { 'example.com/x': 'y' } } }],
    ['an annotation that only looks like ours', { metadata: { annotations: { 'postern.device/x': 'y' } } }],
    ['an annotation of others to nothing', { metadata: { annotations: { 'example.com/kept': null } } }],
    ['finalizers', { metadata: { finalizers: ['postern.dev/x'] } }],
  ];

  test.each(podChanges)('change %s of a pod', async (_, change) => {
    await admin('-n', namespace, 'annotate', '--overwrite', 'pod', 'mail-0', 'example.com/kept=here');
    expect(await denial(() => patch(pod(), change))).toContain(mayChange('pods'));
  });

  const claimChanges: [string, object][] = [
    ['the volume', { spec: { volumeName: 'of-others' } }],
    ['labels', { metadata: { labels: { 'postern.dev/mta': 'other' } } }],
    ['finalizers', { metadata: { finalizers: [] } }],
    ['a foreign annotation', { metadata: { annotations: { 'example.com/x': 'y' } } }],
  ];

  test.each(claimChanges)('change %s of a claim, but our annotation it may', async (_, change) => {
    const claim = paths.core(namespace, 'persistentvolumeclaims', 'spool-mail-0');
    const made = {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'spool-mail-0', namespace, labels: { 'postern.dev/mta': 'default' } },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    };
    expect(
      await cluster.current.kubectl('admin', ['apply', '--server-side', '-f', '-'], JSON.stringify(made)),
    ).toMatchObject({ code: 0 });
    expect(await denial(() => patch(claim, change, 'application/merge-patch+json'))).toContain(
      mayChange('persistentvolumeclaims'),
    );
    const noted = { metadata: { annotations: { 'postern.dev/queued': '3' } } };
    expect(await patch(claim, noted, 'application/merge-patch+json')).toMatchObject({ status: 200 });
  });

  const inTemplate = (change: object) => ({ spec: { template: change } });
  const statefulSetChanges: [string, object][] = [
    ['the image', inTemplate({ spec: { containers: [container({ image: 'evil:1' })] } })],
    ['the command', inTemplate({ spec: { containers: [container({ command: ['sh'] })] } })],
    [
      'the containers, by another,',
      inTemplate({ spec: { containers: [{ name: 'evil', image: 'evil:1' }] } }),
    ],
    ['labels of the template', inTemplate({ metadata: { labels: { 'example.com/x': 'y' } } })],
    [
      'a foreign annotation of the template',
      inTemplate({ metadata: { annotations: { 'example.com/x': 'y' } } }),
    ],
    ['finalizers of the template', inTemplate({ metadata: { finalizers: ['postern.dev/x'] } })],
    ['the number of replicas', { spec: { replicas: 0 } }],
    ['the update strategy', { spec: { updateStrategy: { type: 'OnDelete' } } }],
    [
      'what becomes of volumes',
      { spec: { persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Delete' } } },
    ],
    ['its own labels', { metadata: { labels: { 'postern.dev/class': 'mine' } } }],
    ['its own annotations', { metadata: { annotations: { 'postern.dev/x': 'y' } } }],
  ];

  test.each(statefulSetChanges)('change %s of a StatefulSet', async (_, change) => {
    expect(await denial(() => patch(statefulSet(), change))).toContain(mayChange('statefulsets'));
  });

  test('do anything else with pods, though a role were to let it', async () => {
    const { current } = cluster;
    const subject = `--serviceaccount=${operatorNamespace}:${operatorAccount}`;
    await admin('create', 'clusterrolebinding', 'careless', '--clusterrole=cluster-admin', subject);
    const attempts: [string, string, object?][] = [
      ['DELETE', `${pod()}?dryRun=All`],
      ['POST', `${paths.core(namespace, 'pods')}?dryRun=All`, podNamed('evil')],
      ['POST', `${pod()}/exec?command=id&stdout=true`],
      ['PUT', `${pod()}/ephemeralcontainers`, podNamed('mail-0')],
    ];
    for (const [method, path, body] of attempts) {
      const request = () => operator.request(method, path, body);
      const refused = (answer: Answer) => JSON.stringify(answer.body).includes(mayDo);
      expect(
        (await waitFor(`${method} ${path} to be denied`, request, refused)).status,
      ).toBeGreaterThanOrEqual(400);
    }
    expect((await current.kubectl('admin', ['delete', 'clusterrolebinding', 'careless'])).code).toBe(0);
  });

  test('and what it can: annotations of ours on pods and on the template', async () => {
    await denial(() => patch(pod(), { metadata: { labels: { 'example.com/x': 'y' } } }));
    for (const value of ['abc.1', 'abc.2', null]) {
      const touched = { metadata: { annotations: { 'postern.dev/bundle': value } } };
      expect(await patch(pod(), touched, 'application/merge-patch+json')).toMatchObject({ status: 200 });
    }
    const annotations = {
      'postern.dev/config-hash': 'abc',
      'postern.dev/rolled-for': 'configmap/postern-mta-default',
    };
    expect(await patch(statefulSet(), inTemplate({ metadata: { annotations } }))).toMatchObject({
      status: 200,
    });
  });

  test('the policies bind nobody else', async () => {
    await denial(() => patch(pod(), { metadata: { labels: { 'example.com/x': 'y' } } }));
    await admin('-n', namespace, 'label', 'pod', 'mail-0', 'example.com/x=y');
    const scale = [
      '-n',
      namespace,
      'patch',
      'statefulset/mail',
      '-p',
      '{"spec":{"replicas":3}}',
      '--dry-run=server',
    ];
    expect(await cluster.current.kubectl('owner', scale)).toMatchObject({ code: 0 });
  });
});

describe('the life of a release', () => {
  const annotationsOf = async () =>
    z
      .record(z.string(), z.string())
      .parse(
        JSON.parse(
          await admin(
            '-n',
            namespace,
            'get',
            'statefulset',
            'mail',
            '-o',
            'jsonpath={.spec.template.metadata.annotations}',
          ),
        ),
      );

  test('CH17: helm upgrade leaves the annotations that the operator rolls by', async () => {
    const body = {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'mail', namespace },
      spec: { template: { metadata: { annotations: { 'postern.dev/config-hash': 'def' } } } },
    };
    const rolled = await kubectlAsOperator(
      cluster.current,
      ['apply', '--server-side', '--force-conflicts', '--field-manager=postern', '-f', '-'],
      JSON.stringify(body),
    );
    expect(rolled).toMatchObject({ code: 0 });
    await helmAs(
      cluster.current,
      'owner',
      'upgrade',
      'mail',
      namespace,
      'postern-tenant',
      values,
      '--set=podAnnotations.example\\.com/new=yes',
    );
    expect(await annotationsOf()).toMatchObject({
      'postern.dev/config-hash': 'def',
      'example.com/new': 'yes',
    });
  });

  test('CH17: the API server adds nothing to the claim template, a list that is applied and compared as a whole', async () => {
    const statefulSet = z.object({ spec: z.object({ volumeClaimTemplates: z.array(z.unknown()) }) });
    const claims = (object: unknown) => statefulSet.parse(object).spec.volumeClaimTemplates;
    const rendered = (await render('postern-tenant', { files: ['default-values.yaml'] })).find(
      ({ kind }) => kind === 'StatefulSet',
    );
    const stored = JSON.parse(await admin('-n', namespace, 'get', 'statefulset', 'mail', '-o', 'json'));
    expect(claims(stored)).toEqual(claims(rendered));
  });

  test('R3: helm uninstall takes Routes in use along', async () => {
    const full = `--values=${join(chartFolder('postern-tenant'), 'ci', 'full-values.yaml')}`;
    const plain = [
      'metrics.serviceMonitor.enabled=false',
      'tls.certManager.enabled=false',
      'tls.secretName=mx-tls',
    ].map((set) => `--set=${set}`);
    await helmAs(cluster.current, 'owner', 'install', 'second', namespace, 'postern-tenant', full, ...plain);
    const kubeconfig = await cluster.current.kubeconfigFor('owner');
    const where = [`--namespace=${namespace}`, `--kubeconfig=${kubeconfig}`];
    expect(await helm('uninstall', 'second', ...where)).toMatchObject({ code: 0 });
    expect(
      await admin('-n', namespace, 'get', 'postern', '-l', 'app.kubernetes.io/instance=second', '-o', 'name'),
    ).toBe('');
  });

  test('CRD15: helm uninstall of the CRDs leaves them and every object', async () => {
    const kubeconfig = await cluster.current.kubeconfigFor('admin');
    const { code } = await helm(
      'uninstall',
      'postern-crds',
      '--namespace=postern-system',
      `--kubeconfig=${kubeconfig}`,
    );
    expect(code).toBe(0);
    expect(await admin('-n', namespace, 'get', 'mroute', 'seen', '-o', 'name')).toContain('seen');
  });
});
