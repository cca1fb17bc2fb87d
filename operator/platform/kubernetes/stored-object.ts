import * as z from 'zod';
import { publicIndexFile, secretIndexFile, secretIndexPattern } from '../../../bundle/shard-index.ts';
import { type Owner, ownedBy, renderedLabels, type StoredObject } from './object-plan.ts';
import { fileDigest, type RenderedObject } from './rendered-objects.ts';

const ownerReference = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  name: z.string(),
  uid: z.string(),
  controller: z.boolean().optional(),
});

/** A ConfigMap or Secret as the API server sends it. Fields that are not named here are sent back as they came. */
const rawObject = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    resourceVersion: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
    annotations: z.record(z.string(), z.string()).default({}),
    ownerReferences: z.array(ownerReference).default([]),
  }),
  /** Of Secrets only. */
  type: z.string().default(''),
  data: z.record(z.string(), z.string()).default({}),
  binaryData: z.record(z.string(), z.string()).default({}),
  immutable: z.boolean().default(false),
});
export type RawObject = z.infer<typeof rawObject>;

/** @throws ZodError if the answer is no ConfigMap or Secret. */
export function parseRawObject(answer: unknown): RawObject {
  return rawObject.parse(answer);
}

/** The files of an object, decoded: a ConfigMap's `data` is text, everything else base64. */
function filesOf(kind: RenderedObject['kind'], raw: RawObject): Map<string, Uint8Array> {
  const data = kind === 'Secret' ? 'base64' : 'utf8';
  return new Map([
    ...Object.entries(raw.data).map(([file, text]) => [file, Buffer.from(text, data)] as const),
    ...Object.entries(raw.binaryData).map(([file, text]) => [file, Buffer.from(text, 'base64')] as const),
  ]);
}

/** What of an object stays in memory: its metadata, and digests instead of contents. */
export function summarize(kind: RenderedObject['kind'], raw: RawObject): StoredObject {
  const { name, namespace, uid, resourceVersion, labels, ownerReferences } = raw.metadata;
  const owners = ownerReferences.map(({ controller, ...reference }) => ({
    ...reference,
    ...(controller === undefined ? {} : { controller }),
  }));
  const files = filesOf(kind, raw);
  const digests = new Map([...files].map(([file, bytes]) => [file, fileDigest(bytes)]));
  const index = readIndex(files);
  const secretIndexes = readSecretIndexes(files);
  return {
    metadata: { name, namespace, uid, resourceVersion, labels, ownerReferences: owners },
    digests,
    immutable: raw.immutable,
    ...(index === undefined ? {} : { index }),
    ...(secretIndexes.size === 0 ? {} : { secretIndexes }),
  };
}

/**
 * What an index names, whatever version of the operator wrote it: an upgrade must not take old files from pods that still start
 * with them. One that was edited by hand into nonsense names nothing, since no pod could load it.
 */
function readIndex(files: ReadonlyMap<string, Uint8Array>): StoredObject['index'] {
  const publicIndex = publishedIndex.safeParse(parseJson(files.get(publicIndexFile)));
  if (!publicIndex.success) return undefined;
  const { bundleHash, secretsRevision, shards } = publicIndex.data;
  return { hash: bundleHash, files: new Set([...namesOf(shards), secretIndexFile(secretsRevision)]) };
}

function readSecretIndexes(files: ReadonlyMap<string, Uint8Array>): ReadonlyMap<string, ReadonlySet<string>> {
  const indexes = new Map<string, ReadonlySet<string>>();
  for (const [file, bytes] of files) {
    if (!secretIndexPattern.test(file)) continue;
    const parsed = publishedSecretIndex.safeParse(parseJson(bytes));
    indexes.set(file, new Set(parsed.success ? namesOf(parsed.data.shards) : []));
  }
  return indexes;
}

const shards = z.array(z.looseObject({ file: z.string() }));
const publishedIndex = z.looseObject({ bundleHash: z.string(), secretsRevision: z.string(), shards });
const publishedSecretIndex = z.looseObject({ shards });

function namesOf(shards: readonly { readonly file: string }[]): string[] {
  return shards.map(({ file }) => file);
}

function parseJson(bytes: Uint8Array | undefined): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

/**
 * The object to send: rendered files, the kept ones of `stored`, our labels and owner, and whatever else others put into its
 * metadata. With `stored` its resourceVersion is in it, so that nothing is written over a change we have not seen.
 */
export function bodyOf(
  rendered: RenderedObject,
  namespace: string,
  owner: Owner,
  stored: RawObject | undefined,
  keep: readonly string[],
): unknown {
  const kept =
    stored === undefined ? [] : [...filesOf(rendered.kind, stored)].filter(([file]) => keep.includes(file));
  return {
    apiVersion: 'v1',
    kind: rendered.kind,
    metadata: {
      name: rendered.name,
      namespace,
      ...(stored === undefined
        ? {}
        : { uid: stored.metadata.uid, resourceVersion: stored.metadata.resourceVersion }),
      labels: { ...stored?.metadata.labels, ...renderedLabels(owner.mta) },
      annotations: stored?.metadata.annotations ?? {},
      ownerReferences: ownedBy(owner, stored?.metadata.ownerReferences.map(toReference) ?? []),
    },
    ...contentOf(rendered, [...kept, ...rendered.files]),
  };
}

function toReference({ apiVersion, kind, name, uid, controller }: z.infer<typeof ownerReference>) {
  return { apiVersion, kind, name, uid, ...(controller === undefined ? {} : { controller }) };
}

function contentOf(
  rendered: RenderedObject,
  files: readonly (readonly [string, Uint8Array])[],
): Record<string, unknown> {
  const encode = (encoding: 'base64' | 'utf8') =>
    Object.fromEntries(files.map(([file, bytes]) => [file, Buffer.from(bytes).toString(encoding)]));
  if (rendered.kind === 'Secret') return { type: 'Opaque', data: encode('base64') };
  return rendered.role === 'shard' ? { binaryData: encode('base64') } : { data: encode('utf8') };
}
