import { once } from 'node:events';
import type { KindName } from '../../../bundle/source.ts';
import { kinds, type PosternObject } from '../../api/index.ts';
import type { CompileOptions, Snapshot } from '../../compile/model.ts';
import { isPaused, keyOf } from '../../compile/objects.ts';
import { clusterRangesIn } from '../../render/haraka-files.ts';
import { configName, stateTokenKey, stateTokenName } from './names.ts';
import { ApiError } from './runtime/api-error.ts';
import type { ApiClient } from './runtime/client.ts';
import { systemClock } from './runtime/clock.ts';
import { startInformer } from './runtime/informer.ts';
import { takeSnapshot } from './snapshot.ts';
import { Tenant } from './tenant.ts';
import { type Follower, followKinds, TenantCache } from './tenant-cache.ts';

/** One namespace, looked at once: the same caches and the same snapshot as the operator's, from LISTs without a watch. */

export interface NamespaceReading {
  readonly snapshot: Snapshot;
  /** False if the caller may not list Secrets: the snapshot has none then. */
  readonly readsSecrets: boolean;
  /** What is not as the operator sees it, each in a sentence. */
  readonly notes: readonly string[];
}

/**
 * Reads what a compilation of the namespace reads. Pods are not asked: what they have loaded stands in the stored statuses.
 *
 * @param now milliseconds since the epoch
 * @throws ApiError if anything but Secrets may not be listed, or the API server does not answer
 */
export async function readNamespace(
  client: ApiClient,
  namespace: string,
  options: Omit<CompileOptions, 'allowedDomains' | 'clusterRanges'>,
  now: number,
): Promise<NamespaceReading> {
  const notes: string[] = [];
  const follower = lookOnce(client, { leaveOut: ['pods', 'persistentvolumeclaims'], mayRefuse: 'secrets' });
  const { tenant, cache, ownClass } = await openTenant(follower, namespace, now);
  const allowedDomains = await tenant.ownNamespace.allowedDomains();
  const clusterRanges = await renderedRanges(cache, [...tenant.workloads(ownClass).keys()]);
  const snapshot = await takeSnapshot({
    tenant,
    held: [],
    cache,
    class: ownClass,
    options: {
      ...options,
      ...(clusterRanges !== undefined && { clusterRanges }),
      ...(allowedDomains !== undefined && { allowedDomains }),
    },
    now,
    signal: new AbortController().signal,
    unreadable: (kind, name, problem) =>
      notes.push(`${kind}/${name} does not parse and is left out: ${problem}`),
  });
  if (clusterRanges === undefined && snapshot.objects.some(isGuarded)) {
    notes.push(
      `no operator has rendered an MTA of namespace ${namespace}: which addresses are the cluster's is not known, so entries over them are taken as any others`,
    );
  }
  const readsSecrets = !follower.refused.has('secrets');
  if (!readsSecrets) {
    notes.push(
      `Secrets of namespace ${namespace} may not be listed: accounts, passwords of Routes and DKIM keys are left out`,
    );
  }
  const paused = snapshot.objects.filter(isPaused).map(keyOf);
  if (paused.length > 0)
    notes.push(`paused, taken as written though what acts may be older: ${paused.join(', ')}`);
  return { snapshot, readsSecrets, notes };
}

/** Kinds whose entries may not cover addresses of the cluster. */
function isGuarded({ kind }: PosternObject): boolean {
  return kind === 'IpAccessList' || kind === 'InboundGateway';
}

/**
 * Addresses of the cluster that the operator was told (G14): its command line is not to be seen from here, but what it rendered is.
 * One operator serves all of these MTAs.
 *
 * @returns undefined if it has rendered nothing
 */
async function renderedRanges(
  cache: TenantCache,
  mtas: readonly string[],
): Promise<readonly string[] | undefined> {
  const rendered = await Promise.all(
    mtas.map(async (mta) => clusterRangesIn((await cache.configMaps.get(configName(mta)))?.data ?? {})),
  );
  const known = rendered.filter((ranges) => ranges !== undefined);
  return known.length === 0 ? undefined : [...new Set(known.flat())];
}

/** The objects of the six kinds with their statuses as they are stored. @throws ApiError if they cannot be listed */
export async function readStatuses(
  client: ApiClient,
  namespace: string,
): Promise<readonly { readonly kind: KindName; readonly name: string; readonly status: unknown }[]> {
  const caches = await followKinds(lookOnce(client), () => undefined, namespace);
  return kinds.flatMap(({ kind }) =>
    (caches.get(kind)?.list(namespace) ?? []).map(({ identity, statusText }) => ({
      kind,
      name: identity.metadata.name,
      status: statusText === '' ? {} : JSON.parse(statusText),
    })),
  );
}

/** A pod of an MTA that can be asked. */
interface ReachablePod {
  readonly name: string;
  readonly mta: string;
  /** IP address and port of its HTTP server. */
  readonly address: string;
  readonly port: number;
  readonly token: string;
}

/**
 * The pods of the MTAs of a namespace, with the bearer token that they answer to.
 *
 * @throws ApiError if StatefulSets, pods or Secrets may not be listed, or a token may not be read
 */
export async function readPods(
  client: ApiClient,
  namespace: string,
  now: number,
): Promise<readonly ReachablePod[]> {
  const { tenant, cache, ownClass } = await openTenant(
    lookOnce(client, { leaveOut: ['persistentvolumeclaims'] }),
    namespace,
    now,
  );
  const pods: ReachablePod[] = [];
  for (const [mta, [workload]] of tenant.workloads(ownClass)) {
    const secret = await cache.secrets.get(stateTokenName(mta));
    const token = secret?.data[stateTokenKey]?.reveal();
    if (workload === undefined || token === undefined) continue;
    for (const { name, ip, port } of tenant.podsOf(workload)) {
      if (ip !== undefined)
        pods.push({ name, mta, address: ip, port, token: new TextDecoder().decode(token).trim() });
    }
  }
  return pods;
}

interface OpenTenant {
  readonly tenant: Tenant;
  readonly cache: TenantCache;
  /** Class of the operator that is meant. */
  readonly ownClass: string;
}

async function openTenant(follower: Follower, namespace: string, now: number): Promise<OpenTenant> {
  const kindCaches = await followKinds(follower, () => undefined, namespace);
  const tenant = new Tenant(namespace, kindCaches, follower.client, () => now);
  const cache = await TenantCache.follow(follower, namespace, () => false);
  tenant.cache = cache;
  // Whoever asks knows the namespace and not the operators: if all of it is of one class, that is the one.
  const [first = '', ...others] = new Set(cache.workloads.list(namespace).map((workload) => workload.class));
  return { tenant, cache, ownClass: others.length === 0 ? first : '' };
}

interface OnceFollower extends Follower {
  /** Plurals of what the caller may not list. */
  readonly refused: ReadonlySet<string>;
}

interface Leniency {
  /** Plurals of what is not listed at all. */
  readonly leaveOut?: readonly string[];
  /** Plural of what counts as empty if the caller may not list it. */
  readonly mayRefuse?: string;
}

/** Fills each cache by a LIST and lets it be. */
function lookOnce(client: ApiClient, { leaveOut, mayRefuse }: Leniency = {}): OnceFollower {
  const refused = new Set<string>();
  const listing: ApiClient = { ...client, watch: (_path, { signal }) => nothingUntil(signal) };
  return {
    client,
    refused,
    watch: async (group, version, plural, _keyOf, settings, namespace) => {
      const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
      const failed = Promise.withResolvers<never>();
      const informer = startInformer({
        ...settings,
        client: leaveOut?.includes(plural) ? { ...listing, request: async () => emptyList } : listing,
        path: namespace === undefined ? `${root}/${plural}` : `${root}/namespaces/${namespace}/${plural}`,
        clock: systemClock,
        onError: failed.reject,
      });
      return await Promise.race([informer.synced, failed.promise])
        .then(() => informer)
        .catch((error: unknown) => {
          if (plural !== mayRefuse || !(error instanceof ApiError) || error.code !== 403) throw error;
          refused.add(plural);
          return informer;
        })
        .finally(() => informer.stop());
    },
  };
}

const emptyList = { apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '0' }, items: [] };

/** In place of a watch. */
async function* nothingUntil(signal: AbortSignal): AsyncGenerator<unknown, void, void> {
  if (!signal.aborted) await once(signal, 'abort');
  yield* [];
}
