import { createHash } from 'node:crypto';
import { publicShardCount, secretShardCount } from '../../../bundle/pack-shards.ts';
import { publicIndexFile, secretIndexPattern, secretShardPrefix } from '../../../bundle/shard-index.ts';
import type { RenderedMta } from '../platform.ts';
import { configName, indexName, secretIndexName, secretShardName, shardName } from './names.ts';

/** Shards are written before the indexes that name them, and the public index comes last: it is what a pod swaps on. */
export type RenderedRole = 'config' | 'shard' | 'secretIndex' | 'index';

/** One ConfigMap or Secret as it has to be: its name and the files in it. */
export interface RenderedObject {
  readonly kind: 'ConfigMap' | 'Secret';
  readonly name: string;
  readonly role: RenderedRole;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

const publicShardFile = /^([0-9]{2})-[0-9a-f]{12}\.json\.gz$/;
const secretShardFile = new RegExp(`^${secretShardPrefix}([0-9]{2})-[0-9a-f]{12}\\.json\\.gz$`);

/**
 * Sorts the rendered files of an MTA into its fixed-name objects. Shards without a file stand in the result with no files: they
 * are to be absent.
 *
 * @throws Error if a file belongs to no object: then renderer and platform disagree, and a pod would miss the file.
 */
export function renderedObjects(mta: RenderedMta): RenderedObject[] {
  const files = new Map([...mta.publicFiles, ...mta.secretFiles]);
  const shards = [
    ...takeShards(files, publicShardFile, publicShardCount, (number) => ({
      kind: 'ConfigMap',
      name: shardName(mta.mta, number),
    })),
    ...takeShards(files, secretShardFile, secretShardCount, (number) => ({
      kind: 'Secret',
      name: secretShardName(mta.mta, number),
    })),
  ];
  const objects: RenderedObject[] = [
    { kind: 'ConfigMap', name: configName(mta.mta), role: 'config', files: encodeAll(mta.coldFiles) },
    ...shards,
    {
      kind: 'Secret',
      name: secretIndexName(mta.mta),
      role: 'secretIndex',
      files: take(files, (file) => secretIndexPattern.test(file)),
    },
    {
      kind: 'ConfigMap',
      name: indexName(mta.mta),
      role: 'index',
      files: take(files, (file) => file === publicIndexFile),
    },
  ];
  const left = [...files.keys()];
  if (left.length > 0)
    throw new Error(`MTA ${mta.mta}: no object of a policy directory holds the file ${left.join(', ')}`);
  return objects;
}

/** Files of which several generations lie side by side: their names tell them apart. */
const generationFiles: ReadonlyMap<string, RegExp> = new Map([
  ['ConfigMap/shard', publicShardFile],
  ['Secret/shard', secretShardFile],
  ['Secret/secretIndex', secretIndexPattern],
]);

/** Whether a key of a rendered object has the form of an older generation of its files: any other is a stranger's. */
export function isOlderFile({ kind, role, files }: RenderedObject, file: string): boolean {
  return generationFiles.get(`${kind}/${role}`)?.test(file) === true && !files.has(file);
}

/** The renderer hands out the same bytes while a shard stays as it is: a full MTA would cost 50 ms of hashing each time. */
const digests = new WeakMap<Uint8Array, string>();

/** SHA-256 of one file's bytes: what is compared, so that contents need not stay in memory. The bytes must not change afterwards. */
export function fileDigest(bytes: Uint8Array): string {
  const known = digests.get(bytes) ?? createHash('sha256').update(bytes).digest('hex');
  digests.set(bytes, known);
  return known;
}

function takeShards(
  files: Map<string, Uint8Array>,
  pattern: RegExp,
  count: number,
  objectOf: (number: number) => Pick<RenderedObject, 'kind' | 'name'>,
): RenderedObject[] {
  const byNumber = Array.from({ length: count }, () => new Map<string, Uint8Array>());
  for (const [file, bytes] of files) {
    const number = Number(pattern.exec(file)?.[1]);
    const shard = byNumber[number];
    if (shard === undefined) continue;
    shard.set(file, bytes);
    files.delete(file);
  }
  return byNumber.map((shard, number) => ({ ...objectOf(number), role: 'shard', files: shard }));
}

function take(files: Map<string, Uint8Array>, isWanted: (file: string) => boolean): Map<string, Uint8Array> {
  const taken = new Map([...files].filter(([file]) => isWanted(file)));
  for (const file of taken.keys()) files.delete(file);
  return taken;
}

function encodeAll(texts: ReadonlyMap<string, string>): Map<string, Uint8Array> {
  return new Map([...texts].map(([name, text]) => [name, new TextEncoder().encode(text)]));
}
