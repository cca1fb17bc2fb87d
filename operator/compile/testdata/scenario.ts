import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { mtaStateOf } from '../../../bundle/fixture.ts';
import { ledgerCounts } from '../../../bundle/state.ts';
import { type KindName, kinds, parseMtaSettings, parseObject, type PosternObject, problemText } from '../../api/index.ts';
import { compile } from '../compile.ts';
import { managedByLabel, useLabel } from '../dkim-secret.ts';
import { secretsRevisionOf } from '../hashes.ts';
import { hopKeyField, hopKeySecretName, hopKeyUse } from '../hop-key.ts';
import type { MtaPolicy, PodObservation, SecretRecord, Snapshot } from '../model.ts';
import { secret } from '../secret.ts';

/**
 * A golden case as it is written: the first document sets the stage, the others are manifests. Everything has a default, so
 * a case shows only what it is about: one configured MTA, one ready pod that has loaded what is wanted.
 */
const pod = z.strictObject({
  name: z.string(),
  mta: z.string().default('default'),
  ready: z.boolean().default(true),
  /** What it has loaded: the wanted policy, nothing, or an older one. */
  loaded: z.enum(['Wanted', 'Nothing', 'Older']).default('Wanted'),
  loadError: z.string().optional(),
  problem: z.string().optional(),
  /** Seconds since which it reports something older. */
  behindFor: z.number().optional(),
  routeProbes: z.record(z.string(), z.any()).default({}),
  clusterPeers: z.boolean().optional(),
  domainLedgers: z.record(z.string(), ledgerCounts).optional(),
});

const stage = z.strictObject({
  title: z.string(),
  now: z.string().default('2026-11-25T12:00:00Z'),
  namespace: z.string().default('acme'),
  mtas: z
    .array(
      z.strictObject({
        name: z.string(),
        replicas: z.number().default(1),
        workloads: z.array(z.string()).default(['postern']),
        settings: z.string().default('heloName: mx.acme.example'),
      }),
    )
    .default([{ name: 'default', replicas: 1, workloads: ['postern'], settings: 'heloName: mx.acme.example' }]),
  pods: z.array(pod).default([pod.parse({ name: 'default-0' })]),
  configMaps: z.array(z.strictObject({ name: z.string(), data: z.record(z.string(), z.string()) })).default([]),
  secrets: z
    .array(
      z.strictObject({
        name: z.string(),
        type: z.string().default('Opaque'),
        labels: z.record(z.string(), z.string()).default({}),
        revision: z.string().default('1'),
        data: z.record(z.string(), z.string()).default({}),
      }),
    )
    .default([]),
  /** The key of hop marks: there, not made yet, or a Secret of its name without one. */
  hopKey: z.enum(['Made', 'Missing', 'Foreign']).default('Made'),
  options: z
    .strictObject({
      clusterDomain: z.string().default('cluster.local'),
      allowedRouteRanges: z.array(z.string()).default([]),
      apiServerRanges: z.array(z.string()).optional(),
      clusterRanges: z.array(z.string()).optional(),
      allowedDomains: z.array(z.string()).optional(),
    })
    .prefault({}),
  /** Queue volumes that no pod mounts. */
  strandedQueues: z
    .array(z.strictObject({ mta: z.string().default('default'), claim: z.string(), queued: z.number().optional() }))
    .default([]),
  /** Objects as they were compiled before they were paused. */
  held: z.array(z.unknown()).default([]),
});

/** One case, ready to be compiled. */
export interface Scenario {
  readonly title: string;
  readonly snapshot: Snapshot;
}

/**
 * Reads a case.
 *
 * @throws Error naming the manifest if one does not parse
 */
export function readScenario(text: string): Scenario {
  const documents = parseAllDocuments(text).map((document): unknown => document.toJS());
  const { title, pods, ...set } = stage.parse(documents[0]);
  const bare: Snapshot = {
    namespace: set.namespace,
    objects: documents.slice(1).map((raw) => readManifest(raw, set.namespace)),
    held: Object.fromEntries(
      set.held.map((raw) => {
        const object = readManifest(raw, set.namespace);
        return [`${object.kind}/${object.metadata.name}`, object];
      }),
    ),
    secrets: [...set.secrets, ...hopKeySecrets[set.hopKey]].map(toSecret),
    configMaps: set.configMaps,
    mtas: set.mtas.map(({ settings, ...mta }) => ({ ...mta, settings: readSettings(settings) })),
    observed: { pods: [], dkim: [], routeProbes: {} },
    now: Date.parse(set.now),
    options: {
      clusterDomain: set.options.clusterDomain,
      allowedRouteRanges: set.options.allowedRouteRanges,
      ...(set.options.apiServerRanges === undefined ? {} : { apiServerRanges: set.options.apiServerRanges }),
      ...(set.options.clusterRanges === undefined ? {} : { clusterRanges: set.options.clusterRanges }),
      ...(set.options.allowedDomains === undefined ? {} : { allowedDomains: set.options.allowedDomains }),
    },
  };
  const policies = new Map(compile(bare).mtas.map((policy) => [policy.mta, policy]));
  const observed = pods.map((one) => toPod(one, policies.get(one.mta), bare.now));
  const strandedQueues = set.strandedQueues.map(({ mta, claim, queued }) => ({ mta, claim, queued }));
  return { title, snapshot: { ...bare, observed: { pods: observed, dkim: [], routeProbes: {}, strandedQueues } } };
}

/** A manifest as the API server would have stored it. */
export function readManifest(raw: unknown, namespace: string): PosternObject {
  const { kind, metadata, ...rest } = z
    .looseObject({ kind: z.string(), metadata: z.looseObject({ name: z.string() }) })
    .parse(raw);
  const known = kinds.find((definition) => definition.kind === kind);
  if (known === undefined) throw new Error(`unknown kind ${kind}`);
  const stored = {
    apiVersion: 'postern.dev/v1alpha1',
    kind,
    metadata: { namespace, generation: 1, creationTimestamp: '2026-01-01T00:00:00Z', ...metadata },
    ...rest,
  };
  const name: KindName = known.kind;
  const parsed = parseObject(name, stored);
  if (parsed.ok) return parsed.object;
  throw new Error(`${kind} ${metadata.name}: ${parsed.problems.map((problem) => problemText(problem)).join('; ')}`);
}

function readSettings(text: string): Snapshot['mtas'][number]['settings'] {
  const parsed = parseMtaSettings(text);
  if (parsed.ok) return { ok: true, value: parsed.settings };
  return { ok: false, problem: parsed.problems.map((problem) => problemText(problem)).join('; ') };
}

const hopKeySecret = { name: hopKeySecretName, type: 'Opaque', revision: '1', data: { [hopKeyField]: 'k'.repeat(43) } };
const hopKeySecrets = {
  Made: [{ ...hopKeySecret, labels: { [managedByLabel.name]: managedByLabel.value, [useLabel.name]: hopKeyUse } }],
  Missing: [],
  Foreign: [{ ...hopKeySecret, labels: {} }],
};

function toSecret({ data, ...record }: z.output<typeof stage>['secrets'][number]): SecretRecord {
  const hidden = Object.entries(data).map(([key, text]) => [key, secret(new TextEncoder().encode(text))] as const);
  return { ...record, annotations: {}, data: Object.fromEntries(hidden) };
}

function toPod(one: z.output<typeof pod>, policy: MtaPolicy | undefined, now: number): PodObservation {
  const base = {
    name: one.name,
    mta: one.mta,
    ready: one.ready,
    ...(one.behindFor === undefined ? {} : { behindSince: now - one.behindFor * 1000 }),
  };
  if (one.problem !== undefined) return { ...base, state: { ok: false, problem: one.problem } };
  const hashes = policy?.hashes ?? { domains: {}, routes: {} };
  const older = (record: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.keys(record).map((key) => [key, '0'.repeat(64)]));
  const shown = {
    Wanted: hashes,
    Nothing: { domains: {}, routes: {} },
    Older: { domains: older(hashes.domains), routes: older(hashes.routes) },
  }[one.loaded];
  const state = mtaStateOf({
    mta: one.mta,
    bundleHash: one.loaded === 'Nothing' ? null : 'f'.repeat(64),
    secretsRevision: one.loaded === 'Wanted' ? secretsRevisionOf(policy?.secretRevisions ?? {}) : null,
    coldHash: 'c'.repeat(64),
    ...shown,
    loadError: one.loadError === undefined ? null : { message: one.loadError, since: 0 },
    loadedAt: 0,
    ready: one.ready,
    routeProbes: one.routeProbes,
    ...(one.clusterPeers === undefined ? {} : { clusterPeers: one.clusterPeers }),
    ...(one.domainLedgers === undefined ? {} : { domainLedgers: one.domainLedgers }),
  });
  return { ...base, state: { ok: true, value: state } };
}
