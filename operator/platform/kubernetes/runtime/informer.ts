// A cache of one kind of object that follows the API server for ever: LIST once, WATCH from there, and whatever happens to
// the connection, get back to a true picture without asking more than needed.
import { ApiError, errorFromStatus, isExpired, isForbidden, isNotFound, retryAfterOf } from './api-error.ts';
import { streamBackoff } from './backoff.ts';
import type { ApiClient } from './client.ts';
import { type Clock, pause } from './clock.ts';
import type { Gate } from './gate.ts';
import { compactResource, deepFreeze, isRecord, isResource, type Resource } from './resource.ts';
import { type Change, createStore, type ReadableStore } from './store.ts';

const PAGE_SIZE = 500;
/** Lists of large objects through a slow link. */
const LIST_TIMEOUT_MS = 60_000;
/** The server ends a watch after this time, drawn anew for each, so that watches do not come back in step. */
const WATCH_SECONDS = { shortest: 240, longest: 360 };
/**
 * The server sends a bookmark each minute, once anything has happened to the kind since it started: a connection that is silent for
 * longer may be dead (half-open TCP), and is taken up again where it was.
 */
const DEFAULT_IDLE_MS = 90_000;
/** Heals an event that never came within 5 minutes (10 % of jitter below it). */
const DEFAULT_RESYNC_MS = 290_000;
/** A watch that ends sooner than this counts as failed, even if it ended well: else a broken proxy makes a hot loop. */
const SHORTEST_GOOD_WATCH_MS = 1_000;

export interface InformerOptions<T> {
  readonly client: ApiClient;
  /** Path of the collection, for example `/apis/postern.dev/v1alpha1/namespaces/a/routes`. */
  readonly path: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Ask for `metadata` only: for Secrets and other objects whose content is not (yet) ours to hold. */
  readonly metadataOnly?: boolean;
  /** What to keep of each object. It gets the object without managedFields and last-applied, frozen. */
  readonly transform: (object: Resource) => T;
  /** Holds LISTs back while others are under way; none by default. */
  readonly gate?: Gate;
  /** Told of every change after the cache shows it. Called synchronously: enqueue a key and return. */
  readonly onChange?: (change: Change<T>) => void;
  /** Told of everything that went wrong; the informer goes on by itself. */
  readonly onError?: (error: Error) => void;
  readonly clock: Clock;
  /** 0 <= x < 1; Math.random by default. */
  readonly random?: () => number;
  /** Milliseconds between full LISTs that look for missed events; 290,000 by default, 10 % of it drawn off. */
  readonly resyncMs?: number;
  /** Milliseconds of silence after which a watch is given up; 90,000 by default. */
  readonly idleMs?: number;
}

export interface Informer<T> extends ReadableStore<T> {
  /** Resolves when the first LIST is in the cache. Rejects only if the informer is stopped before. */
  readonly synced: Promise<void>;
  /** Clock time (ms) of the last sign of life: a list, an event or a bookmark. Undefined before the first. */
  readonly lastEventAt: number | undefined;
  /** True while the API server refuses to show the collection (403, or 404): what the cache holds may be long gone. */
  readonly refused: boolean;
  /** Resolves when it has been stopped and its watch is closed. */
  readonly ended: Promise<void>;
  /** Ends the watch and waits until it is closed. */
  stop(): Promise<void>;
}

/** Starts to follow a collection. */
export function startInformer<T>(options: InformerOptions<T>): Informer<T> {
  const {
    client,
    path,
    clock,
    random = Math.random,
    resyncMs = DEFAULT_RESYNC_MS,
    idleMs = DEFAULT_IDLE_MS,
    gate = (work) => work(),
  } = options;
  const store = createStore((object) => deepFreeze(options.transform(object)));
  const stopping = new AbortController();
  const { promise: synced, resolve: setSynced, reject: failSynced } = Promise.withResolvers<void>();
  // Whoever waits gets the rejection; if nobody does, it is no unhandled one.
  synced.catch(() => undefined);
  const backoff = streamBackoff(clock, random);
  const selectors = { labelSelector: options.labelSelector, fieldSelector: options.fieldSelector };
  /** Where to go on watching; undefined if only a LIST can tell. */
  let resourceVersion: string | undefined;
  let relistAt = 0;
  let lastEventAt: number | undefined;
  let refused = false;

  const report = (error: unknown) =>
    options.onError?.(error instanceof Error ? error : new Error(String(error)));
  const announce = (changes: readonly Change<T>[]) => {
    for (const change of changes) {
      try {
        options.onChange?.(change);
      } catch (error) {
        // One bad listener must not cost the others their events.
        report(error);
      }
    }
  };

  async function relist(): Promise<void> {
    const objects: Resource[] = [];
    let version: string | undefined;
    let next: string | undefined;
    do {
      // No resourceVersion: the newest state, never one older than the watch has shown.
      const query = { ...selectors, limit: PAGE_SIZE, continue: next };
      const accept = options.metadataOnly ? metadataAs('PartialObjectMetadataList') : 'application/json';
      const page = readPage(
        await client.request('GET', path, {
          query,
          accept,
          signal: stopping.signal,
          timeoutMs: LIST_TIMEOUT_MS,
        }),
        path,
      );
      objects.push(...page.objects);
      version ??= page.resourceVersion;
      next = page.next;
    } while (next !== undefined);
    resourceVersion = version;
    lastEventAt = clock.now();
    refused = false;
    relistAt = lastEventAt + resyncMs * (1 - 0.1 * random());
    announce(store.replace(objects.map(compactResource)));
    setSynced();
  }

  async function watch(): Promise<void> {
    const resync = new AbortController();
    const cancelResync = clock.timer(Math.max(0, relistAt - clock.now()), () => resync.abort());
    const { shortest, longest } = WATCH_SECONDS;
    const query = {
      ...selectors,
      resourceVersion,
      allowWatchBookmarks: true,
      timeoutSeconds: Math.floor(shortest + random() * (longest - shortest)),
    };
    const accept = options.metadataOnly ? metadataAs('PartialObjectMetadata') : 'application/json';
    const signal = AbortSignal.any([stopping.signal, resync.signal]);
    try {
      for await (const event of client.watch(path, { query, accept, signal, idleMs })) {
        lastEventAt = clock.now();
        refused = false;
        take(event);
      }
    } catch (error) {
      if (!resync.signal.aborted) throw error;
    } finally {
      cancelResync();
    }
    if (resync.signal.aborted) resourceVersion = undefined;
  }

  function take(event: unknown): void {
    if (!isRecord(event)) throw new ApiError(0, 'Unreadable', `watch ${path}: an event is not an object`);
    const { type, object } = event;
    if (type === 'ERROR') {
      // It comes with HTTP 200, and says that the stream no longer shows the truth (410 mostly): look anew.
      resourceVersion = undefined;
      throw errorFromStatus(object, 500, `watch ${path}`);
    }
    if (type === 'BOOKMARK') {
      resourceVersion = bookmarkVersion(object) ?? resourceVersion;
      return;
    }
    if (!isResource(object))
      throw new ApiError(0, 'Unreadable', `watch ${path}: ${String(type)} carries no object`);
    const compact = compactResource(object);
    resourceVersion = compact.metadata.resourceVersion;
    if (type === 'ADDED' || type === 'MODIFIED') announce(store.put(compact));
    if (type === 'DELETED') announce(store.remove(compact));
  }

  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      let failed = false;
      let atLeastMs = 0;
      try {
        if (resourceVersion === undefined || clock.now() >= relistAt) await gate(relist);
        const opened = clock.now();
        await watch();
        // A watch that we ended for a resync is no failure, however short the interval.
        failed = resourceVersion !== undefined && clock.now() - opened < SHORTEST_GOOD_WATCH_MS;
      } catch (error) {
        if (stopping.signal.aborted) break;
        if (isExpired(error)) resourceVersion = undefined;
        refused = isForbidden(error) || isNotFound(error);
        failed = true;
        atLeastMs = retryAfterOf(error);
        report(error);
      }
      if (failed) await pause(clock, Math.max(backoff(), atLeastMs), stopping.signal);
    }
    failSynced(new Error(`the informer of ${path} was stopped before it was synced`));
  }

  const ended = follow();
  return {
    synced,
    ended,
    get lastEventAt() {
      return lastEventAt;
    },
    get refused() {
      return refused;
    },
    get: store.get,
    list: store.list,
    get size() {
      return store.size;
    },
    async stop() {
      stopping.abort();
      await ended;
    },
  };
}

interface Page {
  readonly objects: readonly Resource[];
  readonly resourceVersion: string;
  readonly next: string | undefined;
}

function readPage(list: unknown, path: string): Page {
  // An empty list of metadata comes with `items: null`.
  const items = isRecord(list) ? (list['items'] ?? []) : undefined;
  if (!isRecord(list) || !Array.isArray(items) || !isRecord(list['metadata'])) {
    throw new ApiError(0, 'Unreadable', `GET ${path}: the answer is not a list`);
  }
  const { apiVersion, kind, metadata } = list;
  const { resourceVersion, continue: next } = metadata;
  if (typeof resourceVersion !== 'string') {
    throw new ApiError(0, 'Unreadable', `GET ${path}: the list has no resourceVersion`);
  }
  // Items of built-in kinds leave out what the list's own type says.
  const itemType = { apiVersion, kind: String(kind).replace(/List$/, '') };
  const objects = items.map((item: unknown) => {
    const object = isRecord(item) ? { ...itemType, ...item } : item;
    if (!isResource(object)) throw new ApiError(0, 'Unreadable', `GET ${path}: an item is not an object`);
    return object;
  });
  return { objects, resourceVersion, next: typeof next === 'string' && next !== '' ? next : undefined };
}

function bookmarkVersion(object: unknown): string | undefined {
  const metadata = isRecord(object) && isRecord(object['metadata']) ? object['metadata'] : {};
  return typeof metadata['resourceVersion'] === 'string' ? metadata['resourceVersion'] : undefined;
}

function metadataAs(kind: string): string {
  return `application/json;as=${kind};g=meta.k8s.io;v=v1`;
}
