import type { PosternObject } from '../../api/index.ts';
import { mtaSettingsKey, parseMtaSettings, problemText } from '../../api/index.ts';
import type { CompileOptions, MtaRecord, Snapshot } from '../../compile/model.ts';
import { isPaused, keyOf } from '../../compile/objects.ts';
import { worstProbes } from '../route-probes.ts';
import type { CachedWorkload } from './cached.ts';
import { indexName, settingsName, stateTokenKey, stateTokenName } from './names.ts';
import type { ObservedPod } from './pod-observer.ts';
import { strandedQueues } from './queue-claims.ts';
import { referencesOf } from './references.ts';
import type { Tenant } from './tenant.ts';
import type { TenantCache } from './tenant-cache.ts';

export interface SnapshotInput {
  readonly tenant: Tenant;
  readonly cache: TenantCache;
  /** Only StatefulSets of this class are ours. */
  readonly class: string;
  readonly options: CompileOptions;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly signal: AbortSignal;
  /** Forms that paused objects may be compiled in. */
  readonly held: readonly PosternObject[];
  /** Told of a stored object that does not parse. */
  readonly unreadable: (kind: string, name: string, problem: string) => void;
}

/**
 * Everything that a compilation of the namespace reads, from the caches; only contents that changed are fetched, and the pods are
 * asked what they have loaded.
 */
export async function takeSnapshot(input: SnapshotInput): Promise<Snapshot> {
  const { tenant, cache, now, options } = input;
  const workloads = tenant.workloads(input.class);
  const everything = readObjects(input);
  const objects = ownObjects(everything, tenant.foreignMtas(input.class));
  const named = referencesOf([...objects, ...heldForms(input, objects)]);
  // A key that an object of another class names is not ours to let go.
  const claimed = referencesOf(everything).secrets;
  const retired = cache.retiredKeys().filter((name) => !claimed.has(name));
  tenant.refer({ ...named, secrets: new Set([...named.secrets, ...retired]) }, [...workloads.keys()]);
  const [configMaps, secrets, mtas, observed] = await Promise.all([
    all(tenant.references.configMaps, (name) => cache.configMaps.get(name)),
    all(tenant.references.secrets, (name) => cache.secrets.get(name)),
    Promise.all([...workloads].map(([mta, sets]) => toMtaRecord(cache, mta, sets))),
    observePods(input, workloads),
  ]);
  tenant.observed = observed;
  const pods = [...observed.values()].flat().map(({ observation }) => observation);
  retainNotes(objects, 'DkimKey', [tenant.dkim, tenant.dnsEndpoints]);
  retainNotes(objects, 'MailDomain', [tenant.mailDns]);
  return Object.freeze({
    namespace: tenant.namespace,
    objects,
    secrets,
    configMaps,
    mtas,
    observed: {
      pods,
      dkim: [...tenant.dkim.values()],
      mailDns: [...tenant.mailDns.values()],
      routeProbes: worstProbes(pods),
      strandedQueues: [...workloads.values()].flatMap(([workload]) =>
        workload === undefined ? [] : strandedQueues(tenant.queueClaimsOf(workload)),
      ),
      dnsEndpoints: [...tenant.dnsEndpoints.values()],
      refusals: Object.fromEntries(tenant.refusals),
    },
    now,
    options,
  });
}

/** Forgets what was noted of objects that are gone. */
function retainNotes(
  objects: readonly PosternObject[],
  kind: PosternObject['kind'],
  notes: readonly Map<string, unknown>[],
): void {
  const names = new Set(objects.filter((one) => one.kind === kind).map(({ metadata }) => metadata.name));
  for (const map of notes) for (const name of map.keys()) if (!names.has(name)) map.delete(name);
}

/** What the paused ones may be compiled as: these need the Secrets and ConfigMaps that they named before (G16). */
function heldForms({ held }: SnapshotInput, objects: readonly PosternObject[]): PosternObject[] {
  const paused = new Set(objects.filter(isPaused).map(keyOf));
  return held.filter((form) => paused.has(keyOf(form)));
}

function readObjects({ tenant, unreadable }: SnapshotInput): PosternObject[] {
  const cached = tenant.objects();
  tenant.retain(new Set(cached.map(({ identity }) => identity.metadata.uid)));
  return cached.flatMap((entry) => {
    if (entry.parsed.ok) return [tenant.statuses.current(entry, entry.parsed.object)];
    unreadable(entry.identity.kind, entry.identity.metadata.name, entry.parsed.problem);
    return [];
  });
}

/**
 * Leaves out what belongs to operators of another class: MailDomains of their MTAs, and policy that names only such domains. Two
 * operators would else write one status in turn.
 */
function ownObjects(objects: readonly PosternObject[], foreignMtas: ReadonlySet<string>): PosternObject[] {
  if (foreignMtas.size === 0) return [...objects];
  const foreign = new Set(
    objects
      .filter((object) => object.kind === 'MailDomain' && foreignMtas.has(object.spec.mta))
      .map(({ metadata }) => metadata.name),
  );
  return objects.filter((object) => {
    if (object.kind === 'MailDomain') return !foreign.has(object.metadata.name);
    const names = domainNames(object);
    return names.length === 0 || names.some((name) => !foreign.has(name));
  });
}

function domainNames(object: PosternObject): string[] {
  switch (object.kind) {
    case 'IpAccessList':
    case 'InboundGateway':
    case 'TlsPolicy':
      return (object.spec.domainRefs ?? []).map(({ name }) => name);
    case 'DkimKey':
      return [object.spec.domainRef.name];
    default:
      return [];
  }
}

async function toMtaRecord(
  cache: TenantCache,
  mta: string,
  workloads: readonly CachedWorkload[],
): Promise<MtaRecord> {
  const text = (await cache.configMaps.get(settingsName(mta)))?.data[mtaSettingsKey];
  return {
    name: mta,
    replicas: workloads[0]?.replicas ?? 0,
    settings: readSettings(mta, text),
    workloads: workloads.map(({ name }) => name),
  };
}

function readSettings(mta: string, text: string | undefined): MtaRecord['settings'] {
  const where = `ConfigMap ${settingsName(mta)}, key ${mtaSettingsKey}`;
  if (text === undefined) return { ok: false, problem: `${where}: does not exist` };
  const parsed = parseMtaSettings(text);
  return parsed.ok
    ? { ok: true, value: parsed.settings }
    : { ok: false, problem: `${where}: ${parsed.problems.map(problemText).join('; ')}` };
}

async function observePods(
  { tenant, cache, now, signal }: SnapshotInput,
  workloads: ReadonlyMap<string, readonly CachedWorkload[]>,
): Promise<Map<string, readonly ObservedPod[]>> {
  const observed = await Promise.all(
    [...workloads].map(async ([mta, [workload]]): Promise<[string, readonly ObservedPod[]]> => {
      const pods = workload === undefined ? [] : tenant.podsOf(workload);
      const bundleHash =
        tenant.announcements.get(mta)?.bundleHash ??
        (await cache.renderedConfigMaps.get(indexName(mta)))?.index?.hash;
      const token = pods.length === 0 ? undefined : await readToken(cache, mta);
      return [mta, await tenant.observer.observe({ mta, pods, token, bundleHash, now, signal })];
    }),
  );
  tenant.observer.retain(new Set(observed.flatMap(([, pods]) => pods.map(({ pod }) => pod.uid))));
  return new Map(observed);
}

async function readToken(cache: TenantCache, mta: string): Promise<string | undefined> {
  const bytes = (await cache.secrets.get(stateTokenName(mta)))?.data[stateTokenKey]?.reveal();
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes).trim();
}

async function all<T>(
  names: ReadonlySet<string>,
  get: (name: string) => Promise<T | undefined>,
): Promise<T[]> {
  const found = await Promise.all([...names].sort().map(get));
  return found.filter((value) => value !== undefined);
}
