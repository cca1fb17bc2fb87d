// Every render is taken by a real API server, and the operator does its work with what the charts give it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { type RunningOperator, startOperator } from '../../operator/operator.ts';
import { configName, indexName, stateTokenName } from '../../operator/platform/kubernetes/names.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { chartFolder, helm, render, renders } from './helm.ts';
import { eventually, helmAs, installOperator, operatorAccount, operatorNamespace } from './install.ts';

const cluster = useControlPlane();

const chartFile = z.looseObject({ annotations: z.object({ 'artifacthub.io/crdsExamples': z.string() }) });

/** Kinds of others' CRDs, which are not here; their shape is tested by reading. */
const foreignKinds = ['Certificate', 'ServiceMonitor', 'PrometheusRule'];

beforeAll(async () => {
  await installOperator(cluster.current);
  for (const name of ['mail-a', 'mail-b', 'tenant']) await cluster.current.createNamespace(name);
  const restricted = [
    'pod-security.kubernetes.io/enforce=restricted',
    'pod-security.kubernetes.io/warn=restricted',
  ];
  await cluster.current.kubectl('admin', ['label', 'namespace', 'tenant', operatorNamespace, ...restricted]);
});

describe('the API server', () => {
  const installable = renders.filter(({ chart }) => chart !== 'postern-crds');

  test.each(installable)(
    'CH9: takes $chart with $file, and Pod Security "restricted" has nothing to say',
    async ({ chart, file }) => {
      const namespace = chart === 'postern' ? operatorNamespace : 'tenant';
      const manifests = await render(chart, { files: [file], namespace, release: 'fresh' });
      const known = manifests.filter(({ kind }) => !foreignKinds.includes(kind));
      const text = known.map((manifest) => JSON.stringify(manifest)).join('\n---\n');
      const { code, stdout, stderr } = await cluster.current.kubectl(
        'admin',
        ['apply', '--dry-run=server', '-f', '-'],
        text,
      );
      expect({ code, stderr: stderr.replaceAll(/^Warning: .*last-applied-configuration.*\n/gm, '') }).toEqual(
        { code: 0, stderr: '' },
      );
      expect(stdout.trim().split('\n')).toHaveLength(known.length);
    },
  );

  test('IM5: takes the examples of the catalogue', async () => {
    const text = readFileSync(join(chartFolder('postern-crds'), 'Chart.yaml'), 'utf8');
    const examples = z
      .array(z.unknown())
      .parse(parse(chartFile.parse(parse(text)).annotations['artifacthub.io/crdsExamples']));
    expect(examples).toHaveLength(6);
    const manifests = examples.map((example) => JSON.stringify(example)).join('\n---\n');
    const apply = ['-n', 'tenant', 'apply', '--dry-run=server', '-f', '-'];
    expect(await cluster.current.kubectl('admin', apply, manifests)).toMatchObject({ code: 0 });
  });
});

test('an upgrade to another name of the MTA fails, and what docs/troubleshooting.md says to do about it helps', async () => {
  const { current } = cluster;
  const namespace = await cluster.freshNamespace('renamed');
  const where = [`--namespace=${namespace}`, `--kubeconfig=${await current.kubeconfigFor('admin')}`];
  const run = (verb: 'install' | 'upgrade', release: string, ...args: string[]) =>
    helm(verb, release, chartFolder('postern-tenant'), ...where, ...args);
  const kubectl = (...args: string[]) => current.kubectl('admin', ['-n', namespace, ...args]);
  const heloName = '--set=settings.heloName=mx.example.com';
  expect((await run('install', 'mail', heloName)).code).toBe(0);
  const failed = await run('upgrade', 'mail', '--reset-then-reuse-values', '--set=mta=other');
  expect(failed.stderr).toContain('StatefulSet.apps "mail" is invalid: spec: Forbidden');
  const early = await run('install', 'second', heloName, '--set=mta=other');
  expect(early.stderr).toContain('invalid ownership metadata');

  expect(await run('upgrade', 'mail', '--reset-then-reuse-values')).toMatchObject({ code: 0 });
  expect(await kubectl('delete', 'configmap', 'postern-mta-other')).toMatchObject({ code: 0 });
  expect((await kubectl('get', 'configmaps', '-o', 'name')).stdout.trim()).toBe(
    'configmap/postern-mta-default',
  );
  expect(await run('install', 'second', heloName, '--set=mta=other')).toMatchObject({ code: 0 });
});

describe('the operator of the chart', () => {
  let operator: RunningOperator | undefined;
  afterAll(() => operator?.stop());

  test('OP4: serves a tenant with the rights and under the policies of the charts', async () => {
    const { current } = cluster;
    const full = `--values=${join(chartFolder('postern-tenant'), 'ci', 'full-values.yaml')}`;
    const settings = [
      'class=',
      `operator.namespace=${operatorNamespace}`,
      `operator.serviceAccountName=${operatorAccount}`,
      'metrics.serviceMonitor.enabled=false',
      'tls.certManager.enabled=false',
      'tls.secretName=mx-tls',
    ];
    await helmAs(
      current,
      'admin',
      'install',
      'mail',
      'tenant',
      'postern-tenant',
      full,
      ...settings.map((set) => `--set=${set}`),
    );
    operator = await startOperator({
      kubeconfig: await current.kubeconfigForServiceAccount(operatorNamespace, operatorAccount),
      namespaces: 'all',
      class: '',
      http: { host: '127.0.0.1', port: 0 },
      leaderElect: true,
      ownNamespace: operatorNamespace,
      clusterDomain: 'cluster.local',
      // Nobody answers there: DNS is not what is tested.
      resolvers: ['127.0.0.1:9'],
      allowedRouteRanges: [],
      logLevel: 'silent',
    });
    const kubectl = (...args: string[]) => current.kubectl('admin', ['-n', 'tenant', ...args]);
    // What the pods wait for.
    for (const name of [
      `configmap/${configName('second')}`,
      `configmap/${indexName('second')}`,
      `secret/${stateTokenName('second')}`,
    ]) {
      await eventually(
        `${name} to be made`,
        () => kubectl('get', name, '-o', 'name'),
        ({ code }) => code === 0,
      );
    }
    const accepted = '-o=jsonpath={.status.conditions[?(@.type=="Accepted")].status}';
    for (const object of [
      'maildomain/example-com',
      'mroute/mailbox',
      'ipal/partners',
      'ingw/filter',
      'mtp/bank',
      'dkim/example-com',
    ]) {
      await eventually(
        `${object} to be accepted`,
        () => kubectl('get', object, accepted),
        ({ stdout }) => stdout === 'True',
      );
    }
    const published = '-o=jsonpath={.status.dnsRecord.zoneFileLine}';
    await eventually(
      'the DNS record',
      () => kubectl('get', 'dkimkey/example-com', published),
      ({ stdout }) => stdout.includes('v=DKIM1'),
    );
    expect(
      await current.kubectl('admin', ['-n', operatorNamespace, 'get', 'lease', 'postern-operator']),
    ).toMatchObject({ code: 0 });
  });

  test('R3: takes the deletion of a Route together with that of its MailDomains, and holds the Route until they are gone', async () => {
    const kubectl = (...args: string[]) => cluster.current.kubectl('admin', ['-n', 'tenant', ...args]);
    const routes = () => kubectl('get', 'mroute', '-o', 'name');
    const finalizers = '-o=jsonpath={.metadata.finalizers}';
    await eventually(
      'the finalizer',
      () => kubectl('get', 'mroute/mailbox', finalizers),
      ({ stdout }) => stdout.includes('postern.dev/in-use'),
    );
    // As helm uninstall does it in the moment in which the policies still see the MailDomains.
    expect(await kubectl('delete', 'mroute/mailbox', '--wait=false')).toMatchObject({ code: 0 });
    expect((await kubectl('get', 'mroute/mailbox', finalizers)).stdout).toContain('postern.dev/in-use');
    const kubeconfig = `--kubeconfig=${await cluster.current.kubeconfigFor('admin')}`;
    expect(await helm('uninstall', 'mail', '--namespace=tenant', kubeconfig)).toMatchObject({ code: 0 });
    await eventually('the Routes to be gone', routes, ({ code, stdout }) => code === 0 && stdout === '');
  });
});
