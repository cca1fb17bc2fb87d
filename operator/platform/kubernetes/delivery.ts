import type { RenderedMta } from '../platform.ts';
import { corePath, indexName, managerName, secretIndexName } from './names.ts';
import type { ObjectCache } from './object-cache.ts';
import { type Owner, planObject, type StoredObject } from './object-plan.ts';
import { fileDigest, type RenderedObject, type RenderedRole, renderedObjects } from './rendered-objects.ts';
import { isConflict, isNotFound } from './runtime/api-error.ts';
import type { ApiClient } from './runtime/client.ts';
import { bodyOf, parseRawObject, type RawObject, summarize } from './stored-object.ts';

/** Where the rendered objects of one namespace are written, and what is known of them without asking. */
export interface DeliveryTarget {
  readonly client: ApiClient;
  readonly namespace: string;
  readonly configMaps: ObjectCache<StoredObject>;
  readonly secrets: ObjectCache<StoredObject>;
}

export interface DeliveryResult {
  /** Files that pods read while they run are new or were restored: the pods have to be told. */
  readonly wroteHot: boolean;
  /** Objects of our names that are not ours, each in a sentence. Nothing was written over them. */
  readonly refused: readonly string[];
  /** Names of objects that had been changed or deleted by somebody else and are as they should be again. */
  readonly restored: readonly string[];
}

/** The index comes after everything that it names; a pod that starts in between finds the old set whole. */
const writingOrder: readonly RenderedRole[] = ['config', 'shard', 'secretIndex', 'index'];

/**
 * Brings the rendered objects of one MTA into the API server, in an order that never leaves a starting pod without a complete
 * set: new shards beside the old, then the new secret index beside the old, then the public index, and old files away only when
 * `allLoaded` says that no pod needs them.
 * Writes only what differs, by PUT with the resourceVersion that was read.
 *
 * @param allLoaded every pod of the MTA has reported this very bundle
 * @throws ApiError: Conflict if somebody wrote meanwhile (try again), or what the API server refuses
 */
export async function deliverObjects(
  target: DeliveryTarget,
  mta: RenderedMta,
  owner: Owner,
  allLoaded: boolean,
  signal: AbortSignal,
): Promise<DeliveryResult> {
  const objects = renderedObjects(mta);
  const before = (await target.configMaps.get(indexName(mta.mta)))?.index;
  const mayKeep = await keptFiles(target, mta, allLoaded);
  const refused: string[] = [];
  const restored: string[] = [];
  let wroteHot = false;
  for (const role of writingOrder) {
    for (const rendered of objects.filter((object) => object.role === role)) {
      const done = await bringAbout(target, rendered, owner, mayKeep, signal);
      if (done.refused !== undefined) refused.push(done.refused);
      if (done.changedFiles && role !== 'config') wroteHot = true;
      // The index said this bundle before we came, so nothing should have been missing.
      if (done.wrote && done.changedFiles && before?.hash === mta.bundleHash) restored.push(rendered.name);
    }
    // An index must never name a shard that could not be written.
    if (refused.length > 0) break;
  }
  return { wroteHot, refused, restored };
}

interface Done {
  readonly wrote: boolean;
  /** A rendered file is there that was missing or different before. */
  readonly changedFiles: boolean;
  readonly refused?: string;
}

const nothing: Done = { wrote: false, changedFiles: false };

/**
 * Plans by what is in memory, and only if there is something to do reads the object and plans again: a write is always based on
 * the newest version, never on a cache that lags behind. What seems not to be there is created unread: if it is there, that fails.
 */
async function bringAbout(
  target: DeliveryTarget,
  rendered: RenderedObject,
  owner: Owner,
  mayKeep: (file: string) => boolean,
  signal: AbortSignal,
): Promise<Done> {
  const cache = cacheOf(target, rendered.kind);
  const seeming = planObject(rendered, await cache.get(rendered.name), owner, mayKeep);
  if (seeming.action === 'none') return nothing;
  if (seeming.action === 'create') {
    try {
      await create(target, rendered, owner, signal);
      return { wrote: true, changedFiles: true };
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
  }

  const raw = await read(target, rendered, signal);
  const stored = raw === undefined ? undefined : summarize(rendered.kind, raw);
  const plan = planObject(rendered, stored, owner, mayKeep);
  const changedFiles = [...rendered.files].some(
    ([file, bytes]) => stored?.digests.get(file) !== fileDigest(bytes),
  );
  switch (plan.action) {
    case 'none':
      if (stored !== undefined) cache.wrote(rendered.name, stored.metadata.resourceVersion, stored);
      return nothing;
    case 'refuse':
      return { ...nothing, refused: plan.reason };
    case 'remove':
      await remove(target, rendered, raw, signal);
      return { wrote: true, changedFiles: false };
    case 'create':
      await create(target, rendered, owner, signal);
      return { wrote: true, changedFiles };
    case 'replace':
      // An object that somebody made immutable cannot be put right, only made anew.
      if (raw?.immutable === true) {
        await remove(target, rendered, raw, signal);
        await create(target, rendered, owner, signal);
      } else {
        await write(
          target,
          rendered,
          bodyOf(rendered, target.namespace, owner, raw, plan.keep),
          'PUT',
          signal,
        );
      }
      return { wrote: true, changedFiles };
  }
}

/**
 * Which files of former bundles stay: all while the stored index is the rendered one already and pods are still loading it; before
 * that, those of the stored index and its secret index, whatever pods there are: the next one starts with these until the index
 * is written. So a shard holds two generations of its file at most.
 */
async function keptFiles(
  target: DeliveryTarget,
  mta: RenderedMta,
  allLoaded: boolean,
): Promise<(file: string) => boolean> {
  const index = (await target.configMaps.get(indexName(mta.mta)))?.index;
  if (index?.hash === mta.bundleHash) return () => !allLoaded;
  const secretIndexes = (await target.secrets.get(secretIndexName(mta.mta)))?.secretIndexes;
  const named = [...(index?.files ?? [])].flatMap((file) => [file, ...(secretIndexes?.get(file) ?? [])]);
  const kept = new Set(named);
  return (file) => kept.has(file);
}

function cacheOf(target: DeliveryTarget, kind: RenderedObject['kind']): ObjectCache<StoredObject> {
  return kind === 'ConfigMap' ? target.configMaps : target.secrets;
}

function pathOf(target: DeliveryTarget, kind: RenderedObject['kind'], name?: string): string {
  return corePath(target.namespace, kind === 'ConfigMap' ? 'configmaps' : 'secrets', name);
}

async function read(
  target: DeliveryTarget,
  { kind, name }: RenderedObject,
  signal: AbortSignal,
): Promise<RawObject | undefined> {
  try {
    return parseRawObject(await target.client.request('GET', pathOf(target, kind, name), { signal }));
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function create(
  target: DeliveryTarget,
  rendered: RenderedObject,
  owner: Owner,
  signal: AbortSignal,
): Promise<void> {
  await write(target, rendered, bodyOf(rendered, target.namespace, owner, undefined, []), 'POST', signal);
}

async function write(
  target: DeliveryTarget,
  { kind, name }: RenderedObject,
  body: unknown,
  method: 'POST' | 'PUT',
  signal: AbortSignal,
): Promise<void> {
  const path = pathOf(target, kind, method === 'PUT' ? name : undefined);
  try {
    const stored = summarize(
      kind,
      parseRawObject(
        await target.client.request(method, path, { body, signal, query: { fieldManager: managerName } }),
      ),
    );
    cacheOf(target, kind).wrote(name, stored.metadata.resourceVersion, stored);
  } catch (error) {
    // Whatever went wrong, what we know of the object may be out of date.
    cacheOf(target, kind).forget(name);
    throw error;
  }
}

/** Deletes exactly the version that was read. */
async function remove(
  target: DeliveryTarget,
  { kind, name }: RenderedObject,
  raw: RawObject | undefined,
  signal: AbortSignal,
): Promise<void> {
  const preconditions = { uid: raw?.metadata.uid, resourceVersion: raw?.metadata.resourceVersion };
  const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions };
  try {
    await target.client.request('DELETE', pathOf(target, kind, name), { body, signal });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  } finally {
    cacheOf(target, kind).forget(name);
  }
}
