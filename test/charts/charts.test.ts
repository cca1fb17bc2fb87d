import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { externalDnsRules } from '../../operator/crd/rbac.ts';
import {
  type ChartName,
  chartFolder,
  chartNames,
  ciFiles,
  helm,
  type Manifest,
  render,
  renders,
  root,
  template,
} from './helm.ts';

const readText = (...path: string[]) => readFileSync(join(root, ...path), 'utf8');

const namespacedKinds = new Set(
  'ConfigMap Certificate Deployment DkimKey InboundGateway IpAccessList MailDomain NetworkPolicy Pod PodDisruptionBudget PrometheusRule Role RoleBinding Route Service ServiceAccount ServiceMonitor StatefulSet TlsPolicy'.split(
    ' ',
  ),
);
const isClusterScoped = ({ kind }: Manifest) => !namespacedKinds.has(kind);
const nameOf = ({ kind, metadata }: Manifest) => `${kind}/${metadata.name}`;

describe.each(chartNames)('chart %s', (chart) => {
  test.each(ciFiles(chart))('CH3: helm lint --strict finds nothing with %s', async (file) => {
    const { code, stdout } = await helm(
      'lint',
      '--strict',
      chartFolder(chart),
      `--values=${join(chartFolder(chart), 'ci', file)}`,
    );
    expect(stdout).not.toMatch(/\[(WARNING|ERROR)\]/);
    expect(code).toBe(0);
  });

  test('CH3: helm lint --strict finds nothing with the values of the chart', async () => {
    expect((await helm('lint', '--strict', chartFolder(chart))).code).toBe(0);
  });

  test.each(ciFiles(chart))('CH4: two renders with %s are the same bytes', async (file) => {
    const [first, second] = await Promise.all([
      template(chart, { files: [file] }),
      template(chart, { files: [file] }),
    ]);
    expect(first.stdout).not.toBe('');
    expect(second.stdout).toBe(first.stdout);
  });

  test('CH4: nothing in the templates differs from run to run or from cluster to cluster', () => {
    expect(templatesOf(chart)).not.toMatch(/\b(rand[A-Z]\w+|now|lookup|genCA|uuidv4|htpasswd)\b/);
  });

  test('CH3: a mistyped value is refused with its name', async () => {
    const { code, stderr } = await template(chart, { files: ciFiles(chart).slice(0, 1), set: ['replcas=2'] });
    expect(code).not.toBe(0);
    expect(stderr).toContain('replcas');
  });

  test('CH6: Chart.yaml says what a catalogue needs to know', () => {
    const meta = chartFile.parse(parse(readText('charts', chart, 'Chart.yaml')));
    expect(meta).toMatchObject({ apiVersion: 'v2', name: chart, kubeVersion: '>=1.31.0-0' });
    expect(meta.annotations).toMatchObject({
      'artifacthub.io/category': 'security',
      'artifacthub.io/license': 'Apache-2.0',
    });
    expect(meta.annotations['artifacthub.io/changes']).toContain('kind: added');
    // There is no signKey until releases are signed.
    const own = {
      'postern-crds': ['crds', 'crdsExamples'],
      postern: ['operator', 'operatorCapabilities', 'images', 'links'],
      'postern-tenant': ['images', 'links'],
    };
    for (const key of own[chart]) expect(Object.keys(meta.annotations)).toContain(`artifacthub.io/${key}`);
  });

  test('one version for charts and program', () => {
    const meta = chartFile.parse(parse(readText('charts', chart, 'Chart.yaml')));
    const { version } = z.object({ version: z.string() }).parse(JSON.parse(readText('package.json')));
    expect([meta.version, meta.appVersion]).toEqual([version, version]);
  });

  test('CH3: every value stands in the schema, and in the table of the README', () => {
    const values: unknown = parse(readText('charts', chart, 'values.yaml'));
    const schema = schemaNode.parse(JSON.parse(readText('charts', chart, 'values.schema.json')));
    const readme = readText('charts', chart, 'README.md');
    for (const path of pathsOf(values)) {
      expect(hasPath(schema, path), `${path.join('.')} in values.schema.json`).toBe(true);
      const documented = path.some((_, end) =>
        readme.includes(`| \`${path.slice(0, end + 1).join('.')}\` |`),
      );
      expect(documented, `${path.join('.')} in README.md`).toBe(true);
    }
  });

  test('helm package makes an archive', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-package-'));
    try {
      const { code, stdout } = await helm('package', chartFolder(chart), `--destination=${folder}`);
      expect(code).toBe(0);
      const archive = stdout.trim().split(': ').at(-1) ?? '';
      const content = await helm('show', 'all', archive);
      expect(content.stdout).toContain(`name: ${chart}`);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('what belongs to whom', () => {
  test('CH1, CH2: a tenant install renders no cluster-scoped object', async () => {
    for (const file of ciFiles('postern-tenant')) {
      const manifests = await render('postern-tenant', { files: [file], namespace: 'tenant-a' });
      expect(manifests.filter(isClusterScoped).map(nameOf)).toEqual([]);
      expect(new Set(manifests.map(({ metadata }) => metadata.namespace))).toEqual(new Set(['tenant-a']));
    }
  });

  test('CH2: two installs of the operator share no cluster-scoped name but the role that tenants bind', async () => {
    const namesIn = async (namespace: string) =>
      (await render('postern', { namespace, set: ['admissionPolicies.allowedDomains=true'] }))
        .filter(isClusterScoped)
        .map(nameOf);
    const [first, second] = [await namesIn('one'), await namesIn('two')];
    expect(first.length).toBeGreaterThan(20);
    expect(first.filter((name) => second.includes(name))).toEqual(['ClusterRole/postern-namespace-operator']);
    const others = first.filter((name) => name !== 'ClusterRole/postern-namespace-operator');
    expect(others.filter((name) => !/\/one-postern(-|$)/.test(name))).toEqual([]);
  });

  test('OP3: with named namespaces and without cluster rights the operator renders nothing cluster-scoped', async () => {
    const manifests = await render('postern', { files: ['namespaced-values.yaml'] });
    expect(manifests.filter(isClusterScoped).map(nameOf)).toEqual([]);
    const roles = manifests.filter(
      ({ kind, metadata }) => kind === 'Role' && metadata.name === 'postern-system-postern',
    );
    expect(roles.map(({ metadata }) => metadata.namespace)).toEqual(['mail-a', 'mail-b']);
  });

  test('OP4: an operator of the whole cluster has nothing but postern.dev there', async () => {
    const manifests = await render('postern');
    const bound = manifests.filter(({ kind }) => kind === 'ClusterRoleBinding');
    expect(bound.map(nameOf)).toEqual(['ClusterRoleBinding/postern-system-postern']);
    const role = manifests.find((manifest) => nameOf(manifest) === 'ClusterRole/postern-system-postern');
    const { rules } = z
      .looseObject({ rules: z.array(z.looseObject({ apiGroups: z.array(z.string()) })) })
      .parse(role);
    expect(new Set(rules.flatMap(({ apiGroups }) => apiGroups))).toEqual(new Set(['postern.dev']));
  });

  test.each([
    ['ClusterRole', []],
    ['Role', ['watchNamespaces={tenant-a}']],
  ])('OP4: a %s lets the operator write DNSEndpoints only where that is asked for', async (kind, set) => {
    const rulesWith = async (more: readonly string[]) =>
      (await render('postern', { set: [...set, ...more] }))
        .filter((manifest) => manifest.kind === kind)
        .flatMap(
          (manifest) => z.looseObject({ rules: z.array(z.unknown()).default([]) }).parse(manifest).rules,
        )
        .filter((rule) => JSON.stringify(rule).includes('externaldns.k8s.io'));
    expect(await rulesWith([])).toEqual([]);
    // With watchNamespaces the role that tenants bind themselves is there too.
    const given = await rulesWith(['rbac.externalDns=true']);
    expect(given.length).toBeGreaterThan(0);
    for (const rule of given) expect(rule).toEqual(externalDnsRules()[0]);
  });

  test('CH7, G4: view is aggregated without a verb that writes', async () => {
    const role = (await render('postern')).find(
      ({ metadata }) => metadata.name === 'postern-system-postern-view',
    );
    expect(role?.metadata.labels['rbac.authorization.k8s.io/aggregate-to-view']).toBe('true');
    const { rules } = z
      .looseObject({ rules: z.array(z.looseObject({ verbs: z.array(z.string()) })) })
      .parse(role);
    expect(rules.flatMap(({ verbs }) => verbs)).toEqual(['get', 'list', 'watch']);
    const none = await render('postern', { set: ['rbac.aggregatedRoles=false'] });
    expect(none.filter(({ metadata }) => /-(view|edit)$/.test(metadata.name))).toEqual([]);
  });

  test('CRD15: CRDs stay when the chart goes, and are those of crds/', async () => {
    const manifests = await render('postern-crds');
    expect(manifests.length).toBe(6);
    for (const { metadata, ...manifest } of manifests) {
      expect(metadata.annotations['helm.sh/resource-policy']).toBe('keep');
      const { metadata: _, ...plain } = z
        .looseObject({ metadata: z.unknown() })
        .parse(parse(readText('crds', `${metadata.name}.yaml`)));
      expect(manifest).toEqual(plain);
    }
  });

  test('CH16: Argo CD takes CRDs, Routes, MailDomains, policies and keys in this order', async () => {
    const manifests = [
      ...(await render('postern-crds')),
      ...(await render('postern-tenant', { files: ['full-values.yaml'] })),
    ];
    const waves = new Map(
      manifests.map(({ kind, metadata }) => [
        kind,
        Number(metadata.annotations['argocd.argoproj.io/sync-wave'] ?? 0),
      ]),
    );
    const order = ['CustomResourceDefinition', 'Route', 'MailDomain', 'IpAccessList', 'DkimKey'].map((kind) =>
      waves.get(kind),
    );
    expect(order).toEqual([-2, 0, 1, 2, 3]);
    // The pods wait for the operator, and it begins with the first object of the namespace.
    expect(waves.get('StatefulSet')).toBe(waves.get('MailDomain'));
  });
});

describe('CH14: monitoring', () => {
  test('is opt-in', async () => {
    const kinds = new Set(
      (await Promise.all(chartNames.map((chart) => render(chart, { files: ciFiles(chart).slice(0, 1) }))))
        .flat()
        .map(({ kind }) => kind),
    );
    for (const kind of ['ServiceMonitor', 'PrometheusRule']) expect(kinds).not.toContain(kind);
    const full = await render('postern', { files: ['full-values.yaml'] });
    expect(full.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['ServiceMonitor', 'PrometheusRule']),
    );
    const dashboard = full.find(({ metadata }) => metadata.labels['grafana_dashboard'] === '1');
    const { data } = z.looseObject({ data: z.object({ 'postern.json': z.string() }) }).parse(dashboard);
    expect(JSON.parse(data['postern.json'])).toEqual(
      JSON.parse(readText('charts/postern/files/dashboard.json')),
    );
  });

  test('OP10: the namespace of a metric stays the one that it speaks of', async () => {
    const full = await render('postern', { files: ['full-values.yaml'] });
    const monitor = full.find(({ kind }) => kind === 'ServiceMonitor');
    expect(monitor).toMatchObject({ spec: { endpoints: [{ honorLabels: true }] } });
  });

  test('OP10: alerts and dashboard ask for metrics that operator or MTA have', () => {
    const sources = ['operator/operator-metrics.ts', 'mta/metrics.ts']
      .map((path) => readText(path))
      .join('\n');
    const asked = ['alerts.yaml', 'dashboard.json'].flatMap(
      (file) => readText('charts/postern/files', file).match(/\bpostern_[a-z_]+/g) ?? [],
    );
    expect(asked.length).toBeGreaterThan(15);
    for (const metric of new Set(asked)) {
      const name = metric.replace(/^postern_mta_/, '').replace(/_bucket$/, '');
      expect(sources, metric).toContain(`'${name}'`);
    }
  });
});

test.each(renders)('every object of $chart with $file says what it belongs to', async ({ chart, file }) => {
  const manifests = (await render(chart, { files: [file] })).filter(
    ({ kind }) => kind !== 'CustomResourceDefinition',
  );
  const bare = manifests.filter(({ metadata }) =>
    [
      'app.kubernetes.io/name',
      'app.kubernetes.io/instance',
      'app.kubernetes.io/part-of',
      'app.kubernetes.io/managed-by',
    ].some((label) => metadata.labels[label] === undefined),
  );
  expect(bare.map(nameOf)).toEqual([]);
});

const chartFile = z.looseObject({
  version: z.string(),
  appVersion: z.string(),
  description: z.string().min(20),
  home: z.url(),
  icon: z.string().startsWith('data:image/svg+xml;base64,'),
  sources: z.array(z.url()).min(1),
  maintainers: z.array(z.looseObject({ name: z.string() })).min(1),
  annotations: z.record(z.string(), z.string()),
});

interface SchemaNode {
  properties?: Record<string, SchemaNode> | undefined;
}
const schemaNode: z.ZodType<SchemaNode> = z.looseObject({
  get properties() {
    return z.record(z.string(), schemaNode).optional();
  },
});

/** Paths of all leaves of the values; an empty map or list is a leaf. */
function pathsOf(value: unknown, path: string[] = []): string[][] {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
  const entries = isMap ? Object.entries(value) : [];
  return entries.length === 0
    ? path.length === 0
      ? []
      : [path]
    : entries.flatMap(([key, child]) => pathsOf(child, [...path, key]));
}

/** Whether a schema names the path; below a map that is left open everything counts as named. */
function hasPath(schema: SchemaNode, [key, ...rest]: readonly string[]): boolean {
  if (key === undefined || schema.properties === undefined) return true;
  const child = schema.properties[key];
  return child !== undefined && hasPath(child, rest);
}

function templatesOf(chart: ChartName): string {
  const folder = join(chartFolder(chart), 'templates');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /\.(yaml|tpl|txt)$/.test(file),
  );
  // Only what stands between braces is run.
  return files
    .flatMap((file) => readFileSync(join(folder, file), 'utf8').match(/\{\{[^}]*\}\}/g) ?? [])
    .join('\n');
}
