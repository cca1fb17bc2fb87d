import type { KindName } from '../../../bundle/source.ts';
import { kinds } from '../../api/index.ts';
import { group, version } from '../../api/kind.ts';
import { isMadeKey, keyAnnotations } from '../../compile/dkim-secret.ts';
import type { ConfigMapRecord, SecretRecord } from '../../compile/model.ts';
import { secret } from '../../compile/secret.ts';
import {
  type CachedClaim,
  type CachedObject,
  type CachedPod,
  type CachedWorkload,
  toCachedClaim,
  toCachedMetadata,
  toCachedObject,
  toCachedPod,
  toCachedWorkload,
} from './cached.ts';
import { corePath, labels } from './names.ts';
import { ObjectCache } from './object-cache.ts';
import type { StoredObject } from './object-plan.ts';
import { isNotFound } from './runtime/api-error.ts';
import type { ApiClient } from './runtime/client.ts';
import type { Informer } from './runtime/informer.ts';
import type { MailOperator } from './runtime/mail-operator.ts';
import { isMoreThanStatus } from './runtime/predicates.ts';
import { deepFreeze, type ObjectMeta, type ResourceIdentity } from './runtime/resource.ts';
import type { Change } from './runtime/store.ts';
import { parseRawObject, type RawObject, summarize } from './stored-object.ts';

/** What follows collections for the caches: the operator, or whoever looks just once. */
export type Follower = Pick<MailOperator, 'client' | 'watch'>;

/** Caches of the six kinds, of one namespace or of all. */
export type KindCaches = ReadonlyMap<KindName, Informer<CachedObject>>;

/**
 * Follows the six kinds. Status writes wake nobody: they are our own.
 *
 * @param keyOf the namespace to reconcile for a changed object
 * @param namespace undefined: all
 */
export async function followKinds(
  operator: Follower,
  keyOf: (object: ResourceIdentity) => string | undefined,
  namespace: string | undefined,
): Promise<KindCaches> {
  const entries = await Promise.all(
    kinds.map(async ({ kind, plural }) => {
      const settings = {
        transform: (object: Parameters<typeof toCachedObject>[1]) => toCachedObject(kind, object),
        isRelevant: (change: Change<CachedObject>) =>
          change.type !== 'modified' ||
          isMoreThanStatus(change.previous.resource.metadata, change.entry.resource.metadata),
      };
      return [kind, await operator.watch(group, version, plural, keyOf, settings, namespace)] as const;
    }),
  );
  return new Map(entries);
}

/** Everything of one namespace but the six kinds: its MTAs, their pods and volumes, and the ConfigMaps and Secrets that matter. */
export class TenantCache {
  readonly namespace: string;
  readonly workloads: Informer<CachedWorkload>;
  readonly pods: Informer<CachedPod>;
  /** Claims of queue volumes. */
  readonly claims: Informer<CachedClaim>;
  /** How many mails pods left in the queue that have ended, by the name of the pod. */
  readonly left: ReadonlyMap<string, number>;
  /** Digests of rendered objects, by name. */
  readonly renderedConfigMaps: ObjectCache<StoredObject>;
  readonly renderedSecrets: ObjectCache<StoredObject>;
  /** Contents of objects that policy refers to, by name. */
  readonly configMaps: ObjectCache<ConfigMapRecord>;
  readonly secrets: ObjectCache<SecretRecord>;
  private readonly secretMetadata: Informer<ObjectMeta>;

  private constructor(
    client: ApiClient,
    namespace: string,
    caches: Pick<TenantCache, 'workloads' | 'pods' | 'claims' | 'left'>,
    configMapMetadata: Informer<ObjectMeta>,
    secretMetadata: Informer<ObjectMeta>,
  ) {
    this.namespace = namespace;
    this.workloads = caches.workloads;
    this.pods = caches.pods;
    this.claims = caches.claims;
    this.left = caches.left;
    this.secretMetadata = secretMetadata;
    const cacheOf = <T>(
      resource: 'configmaps' | 'secrets',
      metadata: Informer<ObjectMeta>,
      parse: (raw: RawObject) => T,
    ) =>
      new ObjectCache<T>({
        version: (name) => metadata.get(`${namespace}/${name}`)?.resourceVersion,
        read: (name) => readObject(client, corePath(namespace, resource, name), parse),
      });
    this.renderedConfigMaps = cacheOf('configmaps', configMapMetadata, (raw) => summarize('ConfigMap', raw));
    this.renderedSecrets = cacheOf('secrets', secretMetadata, (raw) => summarize('Secret', raw));
    this.configMaps = cacheOf('configmaps', configMapMetadata, toConfigMapRecord);
    this.secrets = cacheOf('secrets', secretMetadata, toSecretRecord);
  }

  /**
   * Follows the namespace; resolves when all caches are full.
   *
   * @param matters whether policy refers to a ConfigMap or Secret of this name
   */
  static async follow(
    operator: Follower,
    namespace: string,
    matters: (resource: 'configmaps' | 'secrets', name: string) => boolean,
  ): Promise<TenantCache> {
    const key = () => namespace;
    // The caches are asked about their own changes, so they must exist before the first event.
    let cache: TenantCache | undefined;
    const isNews = (resource: 'configmaps' | 'secrets') => (change: Change<ObjectMeta>) => {
      const { name, resourceVersion } = change.entry.resource.metadata;
      if (!name.startsWith('postern-') && !matters(resource, name)) return false;
      const rendered = resource === 'configmaps' ? cache?.renderedConfigMaps : cache?.renderedSecrets;
      return change.type === 'deleted' || rendered?.knows(name, resourceVersion) !== true;
    };
    const metadataOf = (resource: 'configmaps' | 'secrets') => ({
      metadataOnly: true,
      transform: toCachedMetadata,
      isRelevant: isNews(resource),
    });
    const left = new Map<string, number>();
    const noteEnd = (change: Change<CachedPod>) => {
      const { name, left: mails } = change.entry.value;
      if (mails !== undefined) left.set(name, mails);
      else if (change.type !== 'deleted') left.delete(name);
      return podDiffers(change);
    };
    const [workloads, pods, claims, configMapMetadata, secretMetadata] = await Promise.all([
      operator.watch(
        'apps',
        'v1',
        'statefulsets',
        key,
        { labelSelector: labels.mta, transform: toCachedWorkload, isRelevant: differs },
        namespace,
      ),
      operator.watch(
        '',
        'v1',
        'pods',
        key,
        { labelSelector: labels.mta, transform: toCachedPod, isRelevant: noteEnd },
        namespace,
      ),
      operator.watch(
        '',
        'v1',
        'persistentvolumeclaims',
        key,
        { labelSelector: labels.mta, transform: toCachedClaim, isRelevant: claimDiffers },
        namespace,
      ),
      operator.watch('', 'v1', 'configmaps', key, metadataOf('configmaps'), namespace),
      operator.watch('', 'v1', 'secrets', key, metadataOf('secrets'), namespace),
    ]);
    cache = new TenantCache(
      operator.client,
      namespace,
      { workloads, pods, claims, left },
      configMapMetadata,
      secretMetadata,
    );
    return cache;
  }

  /** Whether there is a key that we made: it may have to go with its DkimKey, which is gone before it. */
  get holdsKeys(): boolean {
    return this.secretMetadata.list(this.namespace).some(({ labels = {} }) => isMadeKey({ labels }));
  }

  /** Names of the keys that go because their DkimKey was deleted: nothing refers to them any more. */
  retiredKeys(): string[] {
    return this.secretMetadata
      .list(this.namespace)
      .filter(
        ({ labels = {}, annotations }) =>
          isMadeKey({ labels }) && annotations?.[keyAnnotations.deleteAfter] !== undefined,
      )
      .map(({ name }) => name);
  }

  /** Metadata of a Secret, without reading its content. */
  secretMeta(name: string): ObjectMeta | undefined {
    return this.secretMetadata.get(`${this.namespace}/${name}`);
  }
}

async function readObject<T>(
  client: ApiClient,
  path: string,
  parse: (raw: RawObject) => T,
): Promise<{ resourceVersion: string; value: T } | undefined> {
  try {
    const raw = parseRawObject(await client.request('GET', path));
    return { resourceVersion: raw.metadata.resourceVersion, value: parse(raw) };
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function toConfigMapRecord(raw: RawObject): ConfigMapRecord {
  return deepFreeze({ name: raw.metadata.name, data: raw.data });
}

/** The bytes are wrapped here, where they come in, and unwrapped by the renderer alone. */
export function toSecretRecord(raw: RawObject): SecretRecord {
  const { name, labels: ownLabels, annotations, resourceVersion } = raw.metadata;
  // A copy: a small Buffer is a piece of a pool of many kilobytes, and would hold all of it for as long as the Secret is kept.
  const data = Object.entries(raw.data).map(
    ([key, text]) => [key, secret(new Uint8Array(Buffer.from(text, 'base64')))] as const,
  );
  return deepFreeze({
    name,
    type: raw.type,
    labels: ownLabels,
    annotations,
    revision: resourceVersion,
    data: Object.fromEntries(data),
  });
}

function differs<T>(change: Change<T>): boolean {
  return (
    change.type !== 'modified' ||
    JSON.stringify(comparable(change.previous.value)) !== JSON.stringify(comparable(change.entry.value))
  );
}

/** Our own touch of the pod is no news. */
function podDiffers(change: Change<CachedPod>): boolean {
  if (change.type !== 'modified') return true;
  const withoutTouch = ({ bundle: _, ...rest }: CachedPod) => JSON.stringify(rest);
  return withoutTouch(change.previous.value) !== withoutTouch(change.entry.value);
}

/** The rest of a claim is between the cluster and its volumes. */
function claimDiffers(change: Change<CachedClaim>): boolean {
  return change.type !== 'modified' || change.previous.value.queued !== change.entry.value.queued;
}

/** A workload without its identity, which changes with every status of the StatefulSet. */
function comparable(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('identity' in value)) return value;
  const { identity: _, ...rest } = value;
  return rest;
}
