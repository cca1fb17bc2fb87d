// The one file that knows @dot-i/k8s-operator. What its Operator class gives us: the lifecycle (start -> init), the
// vocabulary of resource events, and the finalizer state machine. What we override, and why:
// - watchResource: it watches without a LIST, loses what is deleted while the stream is down, drops events whose handler
//   throws, and ends the process on any network error. Ours is an informer and a keyed queue.
// - stop: it aborts the watches, which ends the process by the same path. Ours drains.
// - setResourceFinalizers: it replaces the whole list without a resourceVersion (another controller's finalizer is lost)
//   and swallows errors. Ours is a merge patch that conflicts, and throws.
// - patchResourceStatus, setResourceStatus: they swallow conflicts, so a status is lost silently; and they need URLs that
//   only the base watchResource fills in. Ours is a server-side apply, and throws.
// - the constructor: it reads the user's default kubeconfig and throws if that is broken, whichever one is in use. Ours keeps it
//   from looking.
// - registerCustomResourceDefinition is never called: it fails with this client, and CRDs are the charts' business.
// The package is unmaintained; because it is used nowhere else it can be dropped by writing start() and 20 lines here.
import { createRequire } from 'node:module';
import type { ResourceEvent, ResourceMeta } from '@dot-i/k8s-operator';
import { KubeConfig } from '@kubernetes/client-node';
import { ApiError, causesOf, isConflict, isForbidden, isSilence } from './api-error.ts';
import { type ApiClient, createApiClient, patchTypes } from './client.ts';
import type { Clock } from './clock.ts';
import { createGate } from './gate.ts';
import { type Informer, startInformer } from './informer.ts';
import { createWorkQueue, type WorkQueue } from './queue.ts';
import { isResource, type Resource, type ResourceIdentity } from './resource.ts';
import type { Change } from './store.ts';
import { type ReconcileResult, startWorkers, type Workers } from './workers.ts';

type OperatorPackage = typeof import('@dot-i/k8s-operator', { with: { 'resolution-mode': 'require' }});
// It is CommonJS with a "default" of its own, which Node and bundlers hand to an import differently.
const operatorPackage: OperatorPackage = createRequire(import.meta.url)('@dot-i/k8s-operator');
const { ResourceEventType, ResourceMetaImpl } = operatorPackage;

/** The base class, constructed without a look at `$KUBECONFIG` and `~/.kube/config`: it has no parameter to say so. */
const Operator = new Proxy(operatorPackage.default, {
  construct(base, args, derived): object {
    const { loadFromDefault } = KubeConfig.prototype;
    // It makes a client at once, which wants some cluster; that client is never used.
    KubeConfig.prototype.loadFromDefault = function loadPlaceholder() {
      this.loadFromClusterAndUser(
        { name: 'none', server: 'https://none.invalid', skipTLSVerify: false },
        { name: 'none' },
      );
    };
    try {
      return Reflect.construct(base, args, derived);
    } finally {
      KubeConfig.prototype.loadFromDefault = loadFromDefault;
    }
  },
});

const DRAIN_MS = 25_000;
/**
 * A hundred tenants are 500 LISTs, and the API server refuses (429) what one client asks of it at the same time beyond some hundred.
 */
const listsAtATime = 8;

interface OperatorLog {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** What to watch beside the kind itself. */
export interface WatchSettings<T> {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly metadataOnly?: boolean;
  /** What the cache keeps of each object. */
  readonly transform: (object: Resource) => T;
  /** Which change is worth work; every one by default. */
  readonly isRelevant?: (change: Change<T>) => boolean;
}

export interface MailOperatorOptions {
  readonly kubeConfig: KubeConfig;
  readonly clock: Clock;
  readonly log: OperatorLog;
  /** Field manager of what it applies. */
  readonly fieldManager: string;
  /** Keys worked on at a time. */
  readonly workers: number;
  /** Milliseconds for one reconcile. */
  readonly reconcileTimeoutMs: number;
  /** Declares the watches, by `watch`. The workers start when it has ended: every cache is synced then. */
  readonly init: (operator: MailOperator) => Promise<void>;
  /** Brings one key's world in line. It reads only the caches. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<ReconcileResult>;
  /** Asked before each write: one that is no longer the leader must not make it. Always, by default. */
  readonly mayWrite?: () => boolean;
  /** See InformerOptions; shorter in tests. */
  readonly resyncMs?: number;
  readonly idleMs?: number;
}

/** A running operator: informers that fill a keyed queue, and workers that empty it. */
export class MailOperator extends Operator {
  readonly client: ApiClient;
  readonly queue: WorkQueue;
  readonly #options: MailOperatorOptions;
  readonly #gate = createGate(listsAtATime);
  /** With the one namespace that each follows. */
  readonly #informers = new Map<Informer<unknown>, string | undefined>();
  #workers: Workers | undefined;

  constructor(options: MailOperatorOptions) {
    super(options.log);
    // The base class has a placeholder, and lets nobody choose.
    this.kubeConfig = options.kubeConfig;
    this.client = fence(createApiClient(options.kubeConfig), options.mayWrite);
    this.queue = createWorkQueue(options.clock);
    this.#options = options;
  }

  /** Follows the declared kinds, and starts to reconcile when all caches are full. */
  override async start(): Promise<void> {
    await super.start();
    const { clock, workers, reconcileTimeoutMs, reconcile, log } = this.#options;
    this.#workers = startWorkers({
      queue: this.queue,
      clock,
      count: workers,
      timeoutMs: reconcileTimeoutMs,
      reconcile,
      onError: (key, error) =>
        log[levelOf(error)](`reconcile of ${key} failed: ${error instanceof Error ? error.message : error}`),
    });
  }

  protected override async init(): Promise<void> {
    await this.#options.init(this);
  }

  /**
   * Follows a kind and puts the key of what changes into the queue.
   *
   * @param group API group; empty for the core.
   * @param plural The resource's name in URLs.
   * @param keyOf The queue's key for a changed object, or undefined if it concerns nobody.
   * @param namespace Only this one; all by default.
   * @returns The cache, filled.
   */
  async watch<T>(
    group: string,
    version: string,
    plural: string,
    keyOf: (object: ResourceIdentity) => string | undefined,
    settings: WatchSettings<T>,
    namespace?: string,
  ): Promise<Informer<T>> {
    const isRelevant = settings.isRelevant ?? (() => true);
    return this.#follow(group, version, plural, namespace, settings, (change) => {
      const key = isRelevant(change) ? keyOf(change.entry.resource) : undefined;
      if (key !== undefined) this.queue.add(key);
    });
  }

  /** The base class's form of `watch`: an event for each change, one after the other for each kind. Resolves when synced. */
  protected override async watchResource(
    group: string,
    version: string,
    plural: string,
    onEvent: (event: ResourceEvent) => Promise<void>,
    namespace?: string,
  ): Promise<void> {
    let last = Promise.resolve();
    await this.#follow(group, version, plural, namespace, { transform: (object) => object }, (change) => {
      const event = toEvent(change.type, change.entry.value, plural);
      last = last.then(() => onEvent(event)).catch((error: unknown) => this.logger.error(String(error)));
    });
  }

  async #follow<T>(
    group: string,
    version: string,
    plural: string,
    namespace: string | undefined,
    { labelSelector, fieldSelector, metadataOnly, transform }: WatchSettings<T>,
    onChange: (change: Change<T>) => void,
  ): Promise<Informer<T>> {
    const { resyncMs, idleMs, clock, log } = this.#options;
    const informer = startInformer({
      client: this.client,
      path: collectionPath(group ? `${group}/${version}` : version, plural, namespace),
      clock,
      gate: this.#gate,
      transform,
      onChange,
      onError: (error) => tell(error),
      ...(labelSelector !== undefined && { labelSelector }),
      ...(fieldSelector !== undefined && { fieldSelector }),
      ...(metadataOnly !== undefined && { metadataOnly }),
      ...(resyncMs !== undefined && { resyncMs }),
      ...(idleMs !== undefined && { idleMs }),
    });
    let told: { readonly message: string; readonly at: number | undefined } | undefined;
    const tell = (error: Error) => {
      const { message } = error;
      // The same again without a sign of life in between is no news; and a watch that is silent may just have nothing to tell: it is
      // taken up where it was, and only if that fails there is something to say.
      const isNews = !isSilence(error) && (told?.message !== message || told.at !== informer.lastEventAt);
      if (isNews) told = { message, at: informer.lastEventAt };
      log[isNews ? 'warn' : 'debug'](message);
    };
    this.#informers.set(informer, namespace);
    // One namespace's informers may be stopped long before the operator is.
    informer.ended.then(() => this.#informers.delete(informer));
    await informer.synced;
    return informer;
  }

  /** Closes the watches of one namespace; what waits for their first LIST is told that it will not come. */
  async unfollow(namespace: string): Promise<void> {
    const own = [...this.#informers].filter(([, followed]) => followed === namespace);
    await Promise.all(own.map(([informer]) => informer.stop()));
  }

  /**
   * Runs the finalizer state machine on a cached object: adds the finalizer if it is missing, and on deletion runs the
   * clean-up and then removes it.
   *
   * @param cleanUp Throws to keep the object: it will be tried again.
   * @returns `true` if that was all there is to do with the object now.
   * @throws ApiError, also a conflict if the cache was stale: let it throw, and the key comes again.
   */
  async finalize(
    object: Resource,
    plural: string,
    finalizer: string,
    cleanUp: () => Promise<void>,
  ): Promise<boolean> {
    // A copy, because the base class changes the list of finalizers in place and the cache is frozen.
    return this.handleResourceFinalizer(
      toEvent('modified', structuredClone(object), plural),
      finalizer,
      cleanUp,
    );
  }

  /**
   * Puts a finalizer on a cached object or takes it off, for guards that come and go (a Route in use). Writes nothing if
   * it is so already, or if the object is being deleted and the finalizer would have to be added.
   *
   * @throws ApiError 409 if the cache was stale.
   */
  async setFinalizer(
    object: ResourceIdentity,
    plural: string,
    finalizer: string,
    present: boolean,
  ): Promise<void> {
    const { finalizers = [], deletionTimestamp } = object.metadata;
    if (finalizers.includes(finalizer) === present || (present && deletionTimestamp !== undefined)) return;
    const { meta } = toEvent('modified', object, plural);
    const others = finalizers.filter((other) => other !== finalizer);
    await this.setResourceFinalizers(meta, present ? [...others, finalizer] : others);
  }

  /** @throws ApiError 409 if the object changed since it was read. */
  protected override async setResourceFinalizers(meta: ResourceMeta, finalizers: string[]): Promise<void> {
    const body = { metadata: { resourceVersion: meta.resourceVersion, finalizers } };
    await this.client.request('PATCH', objectPath(meta), { body, contentType: patchTypes.merge });
  }

  /**
   * Applies a whole status: fields that this manager applied before and now leaves out are removed. The server writes
   * nothing if it is the same.
   *
   * @param object The object as cached.
   * @param plural The resource's name in URLs.
   * @returns What is stored now.
   * @throws ApiError 404 if the object is gone.
   */
  applyStatus(object: ResourceIdentity, plural: string, status: unknown): Promise<ResourceMeta | null> {
    return this.patchResourceStatus(toEvent('modified', object, plural).meta, status);
  }

  protected override async patchResourceStatus(
    meta: ResourceMeta,
    status: unknown,
  ): Promise<ResourceMeta | null> {
    const { apiVersion, kind, name, namespace } = meta;
    const stored = await this.client.request('PATCH', `${objectPath(meta)}/status`, {
      body: { apiVersion, kind, metadata: { name, namespace }, status },
      contentType: patchTypes.apply,
      query: { fieldManager: this.#options.fieldManager },
    });
    return isResource(stored) ? ResourceMetaImpl.createWithId(meta.id, toKubernetesObject(stored)) : null;
  }

  protected override setResourceStatus(meta: ResourceMeta, status: unknown): Promise<ResourceMeta | null> {
    return this.patchResourceStatus(meta, status);
  }

  /** Closes the watches, lets running reconciles end (25 s, then they are aborted), and closes the connections. */
  override async stop(): Promise<void> {
    await Promise.all([...this.#informers.keys()].map((informer) => informer.stop()));
    await this.#workers?.stop(DRAIN_MS);
    this.queue.shutDown();
    this.client.close();
  }
}

/** A process that was stopped in the middle of its writes must not go on with them when it wakes up. */
function fence(client: ApiClient, mayWrite: () => boolean = () => true): ApiClient {
  return {
    ...client,
    async request(method, path, options) {
      if (method !== 'GET' && !mayWrite())
        throw new ApiError(0, 'Aborted', `${method} ${path}: the Lease is not ours any more`);
      return client.request(method, path, options);
    },
  };
}

/** A cache that lags behind is nobody's fault and heals by itself; a right that is missing is for others to give. */
function levelOf(failure: unknown): 'debug' | 'warn' | 'error' {
  const causes = causesOf(failure);
  if (causes.every(isConflict)) return 'debug';
  return causes.every((cause) => isConflict(cause) || isForbidden(cause)) ? 'warn' : 'error';
}

function collectionPath(apiVersion: string, plural: string, namespace: string | undefined): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return namespace === undefined ? `${root}/${plural}` : `${root}/namespaces/${namespace}/${plural}`;
}

/** The base class's ids are `plural.group/version`. */
function objectPath({ id, apiVersion, namespace, name }: ResourceMeta): string {
  return `${collectionPath(apiVersion, id.slice(0, id.indexOf('.')), namespace)}/${name}`;
}

function toEvent(type: Change<unknown>['type'], object: ResourceIdentity, plural: string): ResourceEvent {
  const types = {
    added: ResourceEventType.Added,
    modified: ResourceEventType.Modified,
    deleted: ResourceEventType.Deleted,
  };
  const kubernetesObject = toKubernetesObject(object);
  return {
    meta: ResourceMetaImpl.createWithPlural(plural, kubernetesObject),
    type: types[type],
    object: kubernetesObject,
  };
}

/** The library's own type of an object has mutable lists and Date fields; it reads neither, but for the finalizers. */
function toKubernetesObject(object: ResourceIdentity): ResourceEvent['object'] {
  const { creationTimestamp, deletionTimestamp, finalizers, ...metadata } = object.metadata;
  return {
    ...object,
    metadata: {
      ...metadata,
      ...(finalizers !== undefined && { finalizers: [...finalizers] }),
      ...(creationTimestamp !== undefined && { creationTimestamp: new Date(creationTimestamp) }),
      ...(deletionTimestamp !== undefined && { deletionTimestamp: new Date(deletionTimestamp) }),
    },
  };
}
