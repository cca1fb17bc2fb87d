// What an informer knows: objects by namespace and name, and the changes that a LIST or an event makes to them.
import { type Resource, type ResourceIdentity, resourceKey } from './resource.ts';

/** A cached object. `value` is what the informer's transform made of it. Both are frozen. */
interface Entry<T> {
  readonly resource: ResourceIdentity;
  readonly value: T;
}

export type Change<T> =
  | { readonly type: 'added'; readonly entry: Entry<T> }
  | { readonly type: 'modified'; readonly entry: Entry<T>; readonly previous: Entry<T> }
  | { readonly type: 'deleted'; readonly entry: Entry<T> };

export interface ReadableStore<T> {
  /** @param key `namespace/name`, or `name` for a cluster-scoped kind. */
  get(key: string): T | undefined;
  /** All values of a namespace, or of all, in the order in which they came to be known. */
  list(namespace?: string): T[];
  readonly size: number;
}

export interface Store<T> extends ReadableStore<T> {
  /** Makes the contents exactly these objects, and tells what that changed: objects gone in between count as deleted. */
  replace(objects: readonly Resource[]): Change<T>[];
  /** Takes in an ADDED or MODIFIED event. No change, if this version is known. */
  put(object: Resource): Change<T>[];
  /** Takes in a DELETED event. No change, if the object is not known. */
  remove(object: Resource): Change<T>[];
}

/** @param transform Makes the value to keep of an object; it must not change the object. */
export function createStore<T>(transform: (object: Resource) => T): Store<T> {
  const entries = new Map<string, Entry<T>>();
  const namespaces = new Map<string, Map<string, Entry<T>>>();

  const set = (key: string, entry: Entry<T>) => {
    const namespace = entry.resource.metadata.namespace ?? '';
    const members = namespaces.get(namespace) ?? new Map<string, Entry<T>>();
    namespaces.set(namespace, members.set(key, entry));
    entries.set(key, entry);
  };
  const drop = (key: string, entry: Entry<T>): Change<T> => {
    const namespace = entry.resource.metadata.namespace ?? '';
    const members = namespaces.get(namespace);
    members?.delete(key);
    if (members?.size === 0) namespaces.delete(namespace);
    entries.delete(key);
    return { type: 'deleted', entry };
  };

  const put = (object: Resource): Change<T>[] => {
    const key = resourceKey(object.metadata);
    const previous = entries.get(key);
    const { uid, resourceVersion } = object.metadata;
    if (previous?.resource.metadata.resourceVersion === resourceVersion) return [];
    const entry = { resource: identityOf(object), value: transform(object) };
    // Deleted and made again under the same name while we were not looking: two changes, not one.
    const replaced = previous !== undefined && previous.resource.metadata.uid !== uid;
    const gone = replaced ? [drop(key, previous)] : [];
    set(key, entry);
    return previous === undefined || replaced
      ? [...gone, { type: 'added', entry }]
      : [{ type: 'modified', entry, previous }];
  };

  return {
    get: (key) => entries.get(key)?.value,
    list: (namespace) =>
      [...((namespace === undefined ? entries : namespaces.get(namespace))?.values() ?? [])].map(
        ({ value }) => value,
      ),
    get size() {
      return entries.size;
    },
    replace(objects) {
      const listed = new Set(objects.map((object) => resourceKey(object.metadata)));
      const gone = [...entries].filter(([key]) => !listed.has(key)).map(([key, entry]) => drop(key, entry));
      return [...gone, ...objects.flatMap(put)];
    },
    put,
    remove(object) {
      const key = resourceKey(object.metadata);
      const known = entries.get(key);
      return known === undefined ? [] : [drop(key, known)];
    },
  };
}

function identityOf({ apiVersion, kind, metadata }: Resource): ResourceIdentity {
  return Object.freeze({ apiVersion, kind, metadata });
}
