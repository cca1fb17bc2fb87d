import { isDeepStrictEqual } from 'node:util';
import type { DkimKey, KindName, PosternObject } from '../../api/index.ts';
import { takesKeyAlong } from '../../compile/dkim-retention.ts';
import type { ConfigMapRecord } from '../../compile/model.ts';
import { isPaused } from '../../compile/objects.ts';
import type { FolderContents, FolderObject } from './contents.ts';
import { isRecord } from './documents.ts';
import type { FolderProblem } from './problem.ts';
import type { FolderSecret } from './records.ts';

/** An object as the platform keeps it: what the API server would hold, made from the folder. */
export interface StoredObject {
  readonly kind: KindName;
  readonly name: string;
  /** Grows by one whenever the spec changes. */
  readonly generation: number;
  /** RFC 3339, seconds: when the object was seen first. The oldest wins a conflict, so it is kept over restarts. */
  readonly creationTimestamp: string;
  readonly written: Readonly<Record<string, unknown>>;
  /** With the two fields above in its metadata. */
  readonly object: PosternObject;
  /** File of the folder that it was seen in last. */
  readonly file: string;
  /** Of a paused object: what it was before, with its metadata of then (G16). */
  readonly held?: PosternObject;
}

/** Everything that stands in for the API server's storage. Plain data, replaced as a whole. */
export interface Store {
  readonly objects: ReadonlyMap<string, StoredObject>;
  readonly secrets: ReadonlyMap<string, FolderSecret>;
  readonly configMaps: ReadonlyMap<string, ConfigMapRecord>;
}

export const emptyStore: Store = { objects: new Map(), secrets: new Map(), configMaps: new Map() };

export function keyOf(object: { readonly kind: string; readonly name: string }): string {
  return `${object.kind}/${object.name}`;
}

/** Fields of spec that an API server lets nobody change. A folder cannot refuse, so the object counts as deleted and made anew. */
const immutableFields: Partial<Record<KindName, readonly string[]>> = {
  MailDomain: ['domain', 'mta'],
  IpAccessList: ['action'],
  DkimKey: ['domainRef', 'selector', 'algorithm', 'keyLength', 'secretName'],
};

/**
 * What the store holds after the folder was read. An object that turned bad keeps its last good version, as an API server refuses
 * an update and keeps what it has; one that is gone from the folder is gone. If a file holds something that cannot be read at
 * all, the objects last seen in that file stay too, since it may be any of them.
 *
 * @param now milliseconds since the epoch.
 */
export function updateStore(store: Store, contents: FolderContents, now: number): Store {
  const refused = new Set(
    contents.problems.flatMap(({ object }) => (object === undefined ? [] : [keyOf(object)])),
  );
  const objects = new Map<string, StoredObject>();
  for (const found of contents.objects) {
    objects.set(keyOf(found), storeObject(found, store.objects.get(keyOf(found)), now));
  }
  for (const [key, stored] of store.objects) {
    if (objects.has(key)) continue;
    if (refused.has(key) || contents.brokenFiles.has(stored.file)) objects.set(key, stored);
  }
  return {
    objects,
    secrets: keepRefused('Secret', store.secrets, contents.secrets, refused, contents.brokenFiles.size > 0),
    configMaps: keepRefused(
      'ConfigMap',
      store.configMaps,
      contents.configMaps,
      refused,
      contents.brokenFiles.size > 0,
    ),
  };
}

/** DkimKeys that are gone from the folder and take their key along. One that was replaced under its name is not gone. */
export function goneKeys(before: Store, after: Store): DkimKey[] {
  return [...before.objects].flatMap(([key, { object }]) =>
    object.kind === 'DkimKey' && !after.objects.has(key) && takesKeyAlong(object) ? [object] : [],
  );
}

function storeObject(found: FolderObject, before: StoredObject | undefined, now: number): StoredObject {
  if (before?.written === found.written && before.file === found.file) return before;
  const isSame = before !== undefined && !immutableChanged(found, before);
  const creationTimestamp = isSame
    ? before.creationTimestamp
    : new Date(now).toISOString().replace(/\.\d{3}Z$/, 'Z');
  const generation = isSame ? before.generation + (specChanged(found.written, before.written) ? 1 : 0) : 1;
  const object = withIdentity(found.object, generation, creationTimestamp);
  const held = isSame && isPaused(object) ? heldForm(before) : undefined;
  return { ...found, generation, creationTimestamp, object, ...(held === undefined ? {} : { held }) };
}

/** What an object that is paused now stays as: what it was before its first paused edit. */
function heldForm(before: StoredObject): PosternObject | undefined {
  return isPaused(before.object) ? before.held : before.object;
}

/** The object with the metadata that the API server would have given it. */
export function withIdentity(
  object: PosternObject,
  generation: number,
  creationTimestamp: string,
): PosternObject {
  return { ...object, metadata: { ...object.metadata, generation, creationTimestamp } };
}

function specChanged(
  left: Readonly<Record<string, unknown>>,
  right: Readonly<Record<string, unknown>>,
): boolean {
  return !isDeepStrictEqual(left['spec'], right['spec']);
}

function immutableChanged(found: FolderObject, before: StoredObject): boolean {
  const [left, right] = [found.object.spec, before.object.spec];
  const fields = immutableFields[found.kind] ?? [];
  return fields.some((field) => !isDeepStrictEqual(fieldOf(left, field), fieldOf(right, field)));
}

function fieldOf(value: unknown, field: string): unknown {
  return isRecord(value) ? value[field] : undefined;
}

function keepRefused<T extends { readonly name: string }>(
  kind: string,
  before: ReadonlyMap<string, T>,
  found: readonly T[],
  refused: ReadonlySet<string>,
  somethingBroken: boolean,
): ReadonlyMap<string, T> {
  const kept = [...before].filter(([name]) => somethingBroken || refused.has(keyOf({ kind, name })));
  return new Map([...kept, ...found.map((record): [string, T] => [record.name, record])]);
}

/** Problems of the folder by the object they are about. */
export function problemsByObject(
  problems: readonly FolderProblem[],
): ReadonlyMap<string, readonly FolderProblem[]> {
  const byObject = new Map<string, FolderProblem[]>();
  for (const problem of problems) {
    if (problem.object === undefined) continue;
    const key = keyOf(problem.object);
    byObject.set(key, [...(byObject.get(key) ?? []), problem]);
  }
  return byObject;
}
