// The little that every Kubernetes object has, read from JSON without trusting it.

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly deletionTimestamp?: string;
  readonly creationTimestamp?: string;
}

/** What an object is, without its content. */
export interface ResourceIdentity {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

/** Any object: the content is for a schema to parse. */
export interface Resource extends ResourceIdentity {
  readonly [field: string]: unknown;
}

/** `true` for anything that JSON calls an object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `true` if the value has what an API server puts into every stored object. */
export function isResource(value: unknown): value is Resource {
  return (
    isRecord(value) &&
    typeof value['apiVersion'] === 'string' &&
    typeof value['kind'] === 'string' &&
    isRecord(value['metadata']) &&
    typeof value['metadata']['name'] === 'string' &&
    typeof value['metadata']['uid'] === 'string' &&
    typeof value['metadata']['resourceVersion'] === 'string'
  );
}

/**
 * Prepares an object for a cache: without the fields that nobody reads and that weigh most (managedFields is 3/4 of a
 * small object's memory; last-applied repeats the object), and frozen deeply, since all readers share it.
 */
export function compactResource(resource: Resource): Resource {
  const {
    managedFields: _managed,
    annotations,
    ...metadata
  } = { managedFields: undefined, ...resource.metadata };
  const kept = Object.entries(annotations ?? {}).filter(([name]) => name !== LAST_APPLIED);
  return deepFreeze({
    ...resource,
    metadata: {
      ...metadata,
      ...(annotations === undefined ? {} : { annotations: Object.fromEntries(kept) }),
    },
  });
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** Freezes plain data through and through. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}

/** `namespace/name`, or `name` for a cluster-scoped object. */
export function resourceKey({
  namespace,
  name,
}: {
  readonly namespace?: string;
  readonly name: string;
}): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}
