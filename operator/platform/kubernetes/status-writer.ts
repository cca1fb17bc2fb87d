import type { KindName } from '../../../bundle/source.ts';
import { kinds, type ObjectStatus, type PosternObject } from '../../api/index.ts';
import { group, version } from '../../api/kind.ts';
import { type CachedObject, statusText } from './cached.ts';
import { managerName } from './names.ts';
import { isNotFound } from './runtime/api-error.ts';
import { type ApiClient, patchTypes } from './runtime/client.ts';
import { compactResource, deepFreeze, isResource, type Resource } from './runtime/resource.ts';

/** What we wrote last for one object, until the informer shows something newer. */
interface Written {
  /** Version in the cache when we wrote: while the cache shows it, it lags behind us. */
  readonly basedOn: string;
  /** Metadata as the write answered, with its resourceVersion. */
  readonly identity: Resource;
  readonly text: string;
  readonly status: ObjectStatus;
  object?: { readonly from: PosternObject; readonly with: PosternObject };
}

const plurals = new Map<KindName, string>(kinds.map(({ kind, plural }) => [kind, plural]));

/** Asks for the metadata of the answer only: the whole of a long list weighs 1.4 MB. */
const metadataOnly = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';

/** Path of an object of one of the six kinds. */
function kindPath(namespace: string, kind: KindName, name: string): string {
  return `/apis/${group}/${version}/namespaces/${namespace}/${plurals.get(kind)}/${name}`;
}

/** Plural of a kind, as in URLs. */
export function pluralOf(kind: KindName): string {
  return plurals.get(kind) ?? '';
}

/**
 * Writes statuses by server-side apply, each once: it knows what it wrote before the informer shows it, so that neither the next
 * snapshot nor the next comparison starts from a status that is out of date.
 */
export class StatusWriter {
  private readonly written = new Map<string, Written>();
  private readonly client: ApiClient;

  constructor(client: ApiClient) {
    this.client = client;
  }

  /** The object with the newest status that is known. */
  current(cached: CachedObject, object: PosternObject): PosternObject {
    const written = this.aheadOf(cached);
    if (written === undefined) return object;
    if (written.object?.from !== object) {
      const updated = Object.assign({}, object, { status: written.status });
      written.object = { from: object, with: deepFreeze(updated) };
    }
    return written.object.with;
  }

  /** Metadata with the newest resourceVersion and finalizers that are known. */
  identity(cached: CachedObject): Resource {
    return this.aheadOf(cached)?.identity ?? cached.identity;
  }

  /**
   * Writes the status unless it is there already.
   *
   * @returns whether it was written
   * @throws ApiError if the API server refuses it; an object that is gone is none
   */
  async write(
    kind: KindName,
    cached: CachedObject,
    status: ObjectStatus,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { metadata } = cached.identity;
    const text = statusText(status);
    const before = this.written.get(metadata.uid);
    if ((this.aheadOf(cached)?.text ?? cached.statusText) === text) return false;
    // The server may add to what we applied; our own words again would change nothing.
    if (before?.text === text && before.identity.metadata.resourceVersion === metadata.resourceVersion)
      return false;
    const { name, namespace = '' } = metadata;
    const body = {
      apiVersion: cached.identity.apiVersion,
      kind,
      metadata: { name, namespace, uid: metadata.uid },
      status,
    };
    try {
      const answer = await this.client.request('PATCH', `${kindPath(namespace, kind, name)}/status`, {
        body,
        contentType: patchTypes.apply,
        accept: metadataOnly,
        query: { fieldManager: managerName, force: true },
        signal,
      });
      if (!isResource(answer)) throw new Error(`${kind} ${name}: the answer to the status is no object`);
      const { apiVersion } = cached.identity;
      const identity = compactResource({ apiVersion, kind, metadata: answer.metadata });
      this.written.set(metadata.uid, { basedOn: metadata.resourceVersion, identity, text, status });
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  /** Forgets objects that are gone. */
  retain(uids: ReadonlySet<string>): void {
    for (const uid of this.written.keys()) if (!uids.has(uid)) this.written.delete(uid);
  }

  private aheadOf({ identity: { metadata } }: CachedObject): Written | undefined {
    const written = this.written.get(metadata.uid);
    return written?.basedOn === metadata.resourceVersion ? written : undefined;
  }
}
