// What the rendered pods are started with, held against the programs that they start.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { publicShardCount, secretShardCount } from '../../bundle/pack-shards.ts';
import { type MtaOptions, mtaCommand } from '../../mta/options.ts';
import { mtaSettingsKey, parseMtaSettings } from '../../operator/api/index.ts';
import { parseOperatorFlags } from '../../operator/operator-options.ts';
import {
  configName,
  indexName,
  labels,
  secretIndexName,
  secretShardName,
  settingsName,
  shardName,
  stateTokenKey,
  stateTokenName,
} from '../../operator/platform/kubernetes/names.ts';
import { chartFolder, ciFiles, type Manifest, type RenderOptions, render, root, template } from './helm.ts';
import { type Container, type PodSpec, workloadsOf } from './workload.ts';

async function podOf(chart: 'postern' | 'postern-tenant', options: RenderOptions): Promise<PodSpec> {
  const [workload] = workloadsOf(await render(chart, options));
  if (workload === undefined) throw new Error(`${chart} renders no workload`);
  return workload.pod;
}

async function containerOf(chart: 'postern' | 'postern-tenant', options: RenderOptions): Promise<Container> {
  const [container] = (await podOf(chart, options)).containers;
  if (container === undefined) throw new Error(`${chart} renders no container`);
  return container;
}

async function objectOf(
  kind: string,
  options: RenderOptions,
  chart: 'postern' | 'postern-tenant' = 'postern-tenant',
): Promise<Manifest> {
  const found = (await render(chart, options)).find((manifest) => manifest.kind === kind);
  if (found === undefined) throw new Error(`${chart} renders no ${kind}`);
  return found;
}

/** Options of `postern mta`, as its own command line reads them. */
async function mtaOptions(args: readonly string[]): Promise<MtaOptions> {
  const parsed = Promise.withResolvers<MtaOptions>();
  const program = new Command().exitOverride();
  program.addCommand(mtaCommand(async (options) => parsed.resolve(options)).exitOverride());
  await program.parseAsync([...args], { from: 'user' });
  return parsed.promise;
}

const full = { files: ['full-values.yaml'] };
const plain = { files: ['default-values.yaml'] };

describe('the operator', () => {
  test('its command line is understood, and says what the values do', async () => {
    const { args } = await containerOf('postern', full);
    expect(args[0]).toBe('operator');
    expect(parseOperatorFlags(args.slice(1), undefined)).toEqual({
      namespaces: 'all',
      class: 'gold',
      http: { host: '0.0.0.0', port: 8080 },
      leaderElect: true,
      clusterDomain: 'k8s.example',
      resolvers: ['192.0.2.53:53', '[2001:db8::53]:5353'],
      allowedRouteRanges: ['127.0.0.0/8'],
      clusterRanges: ['127.0.0.0/8', '::1/128', '10.244.0.0/16'],
      logLevel: 'debug',
    });
  });

  test('OP3: it serves the namespaces that the values name', async () => {
    const { args } = await containerOf('postern', { files: ['watch-values.yaml'] });
    expect(parseOperatorFlags(args.slice(1), undefined).namespaces).toEqual(['mail-a', 'mail-b']);
  });

  test('OP2: two replicas, one of which may be away', async () => {
    const deployment = await objectOf('Deployment', plain, 'postern');
    expect(deployment).toMatchObject({
      spec: { replicas: 2, strategy: { rollingUpdate: { maxUnavailable: 1 } } },
    });
  });

  test('its token is the short-lived one, in its own container only', async () => {
    const { volumes, automountServiceAccountToken } = await podOf('postern', plain);
    expect(automountServiceAccountToken).toBe(false);
    const tokens = volumes
      .flatMap(({ projected }) => projected?.sources ?? [])
      .flatMap(({ serviceAccountToken }) => serviceAccountToken ?? []);
    expect(tokens.map(({ expirationSeconds }) => expirationSeconds)).toEqual([3607]);
  });
});

describe('the MTA', () => {
  test('its command line is understood, and leads to what is mounted', async () => {
    const { args, volumeMounts, ports } = await containerOf('postern-tenant', full);
    const options = await mtaOptions(args);
    const mounted = (path: string) =>
      volumeMounts.some(({ mountPath }) => path === mountPath || path.startsWith(`${mountPath}/`));
    expect(options).toMatchObject({
      policy: '/etc/postern/policy',
      config: '/etc/postern/config',
      tls: '/etc/postern/tls',
      smtp: { host: '::', port: 2525 },
      submission: { host: '::', port: 2587 },
      submissions: { host: '::', port: 2465 },
      http: { host: '::', port: 8025 },
      graceSeconds: 600,
      handOverTo: [{ host: expect.stringMatching(/-pods\.[a-z-]+\.svc$/), port: 8025 }],
      terminationLog: '/dev/termination-log',
      logLevel: 'debug',
    });
    const { policy, config, home, queue, maildir, tls, tokenFile } = options;
    for (const path of [policy, config, home, queue, maildir, tls ?? '', tokenFile ?? ''])
      expect(mounted(path), path).toBe(true);
    expect(ports.map(({ name, containerPort }) => [name, containerPort])).toEqual([
      ['smtp', 2525],
      ['submission', 2587],
      ['submissions', 2465],
      ['http', 8025],
    ]);
    // It empties its home, and the root of a mount cannot be removed.
    expect(volumeMounts.map(({ mountPath }) => mountPath)).not.toContain(home);
    expect(volumeMounts.every(({ subPath }) => subPath === undefined)).toBe(true);
  });

  test.each(['default', 'second'])('finds the objects that the operator makes for MTA %s', async (mta) => {
    const { volumes } = await podOf('postern-tenant', { ...plain, set: [`mta=${mta}`] });
    const volume = (name: string) => volumes.find((candidate) => candidate.name === name);
    const sources = volume('policy')?.projected?.sources ?? [];
    const numbers = (count: number) => Array.from({ length: count }, (_, number) => number);
    expect(sources.flatMap(({ configMap }) => configMap?.name ?? [])).toEqual([
      indexName(mta),
      ...numbers(publicShardCount).map((number) => shardName(mta, number)),
    ]);
    expect(sources.flatMap(({ secret }) => secret?.name ?? [])).toEqual([
      secretIndexName(mta),
      ...numbers(secretShardCount).map((number) => secretShardName(mta, number)),
    ]);
    expect(sources.every(({ configMap, secret }) => (configMap ?? secret)?.optional === true)).toBe(true);
    // Without these the process cannot begin, so the pod waits for them.
    expect(volume('config')?.configMap).toMatchObject({ name: configName(mta) });
    expect(volume('config')?.configMap?.optional).not.toBe(true);
    expect(volume('token')?.secret).toMatchObject({ secretName: stateTokenName(mta) });
    const { args } = await containerOf('postern-tenant', { ...plain, set: [`mta=${mta}`] });
    expect((await mtaOptions(args)).tokenFile).toBe(`/etc/postern/token/${stateTokenKey}`);
  });

  test('OP5: its StatefulSet and pods carry the labels that the operator looks for', async () => {
    const [gold] = workloadsOf(await render('postern-tenant', full));
    const expected = { [labels.mta]: 'second', [labels.class]: 'gold' };
    expect(gold?.manifest.metadata.labels).toMatchObject(expected);
    expect(gold?.labels).toMatchObject(expected);
    const [common] = workloadsOf(await render('postern-tenant', plain));
    expect(Object.keys(common?.manifest.metadata.labels ?? {})).not.toContain(labels.class);
  });

  test.each(ciFiles('postern-tenant'))('its settings are read by the operator with %s', async (file) => {
    const settings = await objectOf('ConfigMap', { files: [file] });
    const { data } = z.looseObject({ data: z.record(z.string(), z.string()) }).parse(settings);
    const parsed = parseMtaSettings(data[mtaSettingsKey] ?? '');
    expect(parsed).toMatchObject({
      ok: true,
      settings: { heloName: 'mx.example.com', maxMessageBytes: 104_857_600 },
    });
    expect([settingsName('default'), settingsName('second')]).toContain(settings.metadata.name);
  });

  test('CH3: the schema of the settings is the generated one', () => {
    const read = (...path: string[]): unknown => JSON.parse(readFileSync(join(...path), 'utf8'));
    const { properties } = z
      .looseObject({ properties: z.looseObject({ settings: z.unknown() }) })
      .parse(read(chartFolder('postern-tenant'), 'values.schema.json'));
    const {
      $schema: _,
      title,
      required,
      ...generated
    } = z
      .looseObject({ title: z.string(), required: z.array(z.string()) })
      .parse(read(root, 'docs/schemas/mta-settings.json'));
    expect([title, required]).toEqual(['Settings of an MTA', ['heloName']]);
    // heloName is asked for by the template, so that the chart can be linted without values.
    expect(properties.settings).toEqual(generated);
  });

  test('CH12: takes two replicas at a time, keeps its volumes, and ends in order', async () => {
    const statefulSet = await objectOf('StatefulSet', plain);
    expect(statefulSet).toMatchObject({
      spec: {
        replicas: 2,
        podManagementPolicy: 'Parallel',
        persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
        volumeClaimTemplates: [{ metadata: { name: 'spool' } }],
      },
    });
    const headless = (await render('postern-tenant', plain)).find(
      ({ kind, metadata }) => kind === 'Service' && metadata.name === 'mail-pods',
    );
    expect(headless).toMatchObject({ spec: { clusterIP: 'None' } });
    expect(statefulSet).toMatchObject({ spec: { serviceName: 'mail-pods' } });
  });

  test.each([plain, full])(
    'CH12: sleeps 6 s or more, and kubelet waits for sleep and drain: $files',
    async (options) => {
      const pod = await podOf('postern-tenant', options);
      const { args, lifecycle } = await containerOf('postern-tenant', options);
      const { graceSeconds } = await mtaOptions(args);
      const sleep = lifecycle?.preStop.sleep.seconds ?? 0;
      expect(sleep).toBeGreaterThanOrEqual(6);
      expect(pod.terminationGracePeriodSeconds ?? 0).toBeGreaterThan(sleep + graceSeconds);
    },
  );

  test('CH12: a shorter sleep is refused', async () => {
    const { code, stderr } = await template('postern-tenant', { ...plain, set: ['drain.preStopSeconds=5'] });
    expect(code).not.toBe(0);
    expect(stderr).toContain('preStopSeconds');
  });

  test('has no API token', async () => {
    const manifests = await render('postern-tenant', full);
    for (const { pod } of workloadsOf(manifests)) {
      expect(pod.automountServiceAccountToken).toBe(false);
      expect(
        pod.volumes
          .flatMap(({ projected }) => projected?.sources ?? [])
          .every(({ serviceAccountToken }) => serviceAccountToken === undefined),
      ).toBe(true);
    }
    expect(manifests.find(({ kind }) => kind === 'ServiceAccount')).toMatchObject({
      automountServiceAccountToken: false,
    });
  });

  test('needs a certificate for submission, and one source of it', async () => {
    const without = await template('postern-tenant', { ...plain, set: ['submission.enabled=true'] });
    expect(without.stderr).toContain('submission.enabled needs a certificate');
    const twice = await template('postern-tenant', { ...full, set: ['tls.secretName=mx-tls'] });
    expect(twice.stderr).toContain('not both');
    const { args } = await containerOf('postern-tenant', plain);
    expect(args).not.toContain('--tls');
  });

  test('the Certificate makes the Secret that the pods mount, for the name in the greeting', async () => {
    const { spec } = z
      .looseObject({ spec: z.looseObject({ secretName: z.string(), dnsNames: z.array(z.string()) }) })
      .parse(await objectOf('Certificate', full));
    const mounted = (await podOf('postern-tenant', full)).volumes.find(({ name }) => name === 'tls')?.secret
      ?.secretName;
    expect(spec).toMatchObject({ secretName: mounted, dnsNames: ['mx.example.com'] });
  });

  test('settings without heloName, or with a mistyped one, are refused', async () => {
    const missing = await template('postern-tenant');
    expect(missing.stderr).toContain('settings.heloName is required');
    const mistyped = await template('postern-tenant', {
      ...plain,
      set: ['settings.heloname=mx.example.com'],
    });
    expect(mistyped.stderr).toContain('heloname');
  });
});

describe('how mail comes in', () => {
  const portsOf = async (options: RenderOptions) => {
    const { spec } = z
      .looseObject({
        spec: z.looseObject({
          ports: z.array(z.looseObject({ name: z.string(), port: z.int(), targetPort: z.string() })),
        }),
      })
      .parse(await objectOf('Service', options));
    return spec.ports.map(({ name, port, targetPort }) => `${port} ${name} ${targetPort}`);
  };

  test('CH10: ports 25, 587 and 465 lead to unprivileged ones', async () => {
    expect(await portsOf(full)).toEqual([
      '25 smtp smtp',
      '587 submission submission',
      '465 submissions submissions',
    ]);
    expect(await portsOf(plain)).toEqual(['25 smtp smtp']);
  });

  test('CH11: the address of the client is kept unless asked otherwise', async () => {
    const service = await objectOf('Service', { ...plain, set: ['service.type=LoadBalancer'] });
    expect(service).toMatchObject({ spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Local' } });
  });

  test('CH13: SMTP is open to anybody or whom the values name, state and metrics to the operator and the pods of the MTA alone', async () => {
    const rules = z.looseObject({
      spec: z.looseObject({
        policyTypes: z.tuple([z.literal('Ingress')]),
        ingress: z.array(
          z.looseObject({
            ports: z.array(z.looseObject({ port: z.string() })),
            from: z.array(z.unknown()).optional(),
          }),
        ),
      }),
    });
    const { spec } = rules.parse(await objectOf('NetworkPolicy', plain));
    expect(spec.ingress.map(({ ports }) => ports.map(({ port }) => port))).toEqual([['smtp'], ['http']]);
    expect(spec.ingress[0]?.from).toBeUndefined();
    expect(spec.ingress[1]?.from).toEqual([
      {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'postern-system' } },
        podSelector: {
          matchLabels: { 'app.kubernetes.io/name': 'postern', 'app.kubernetes.io/component': 'operator' },
        },
      },
      {
        podSelector: {
          matchLabels: {
            'app.kubernetes.io/name': 'postern-mta',
            'app.kubernetes.io/instance': expect.any(String),
            'app.kubernetes.io/component': 'mta',
          },
        },
      },
    ]);
    const [operator] = workloadsOf(await render('postern', plain));
    expect(operator?.labels).toMatchObject({
      'app.kubernetes.io/name': 'postern',
      'app.kubernetes.io/component': 'operator',
    });
    const named = rules.parse(await objectOf('NetworkPolicy', full));
    expect(named.spec.ingress[0]?.from).toEqual([{ ipBlock: { cidr: '10.0.0.0/8' } }]);
    expect(named.spec.ingress[1]?.from).toHaveLength(3);
  });
});
