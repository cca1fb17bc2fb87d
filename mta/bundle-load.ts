import { createHash } from 'node:crypto';
import { readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type * as z from 'zod';
import type { PolicyBundle, SecretBundle } from '../bundle/policy-bundle.ts';
import {
  publicIndexFile,
  type SecretIndex,
  type ShardIndex,
  secretIndex,
  secretIndexFile,
  shardIndex,
} from '../bundle/shard-index.ts';
import { readSecretShards, readShards, type ShardCache, shardsToRead } from '../bundle/shards.ts';

const inflate = promisify(gunzip);

/** Bytes of an index or of a shard as it lies on disk: a ConfigMap holds 1 MiB. */
const maxFileBytes = 1_048_576;
/** Bytes of a shard after decompression. A shard of 512 KiB that grows beyond this is no policy (a "zip bomb"). */
const maxShardBytes = 32 * 1_048_576;

/** A complete and verified set of files. */
export interface BundleFiles {
  readonly index: ShardIndex;
  readonly bundle: PolicyBundle;
  readonly secrets: SecretBundle;
}

/**
 * Reads the policy directory. All files come from one target of `..data`, so that a swap in between shows as a missing file
 * and never as a mixture.
 * @returns undefined if the files are those of the given index.
 * @throws Error that says which file is wrong and how; it never quotes content, which may be secret.
 */
export async function readBundleFiles(
  directory: string,
  cache: ShardCache,
  loaded: { index: ShardIndex } | undefined,
): Promise<BundleFiles | undefined> {
  const root = await realpath(join(directory, '..data')).catch(() => directory);
  const index = await readIndex(root, publicIndexFile, shardIndex);
  if (loaded !== undefined && same(loaded.index, index)) return undefined;
  const secret = await readIndex(root, secretIndexFile, secretIndex);
  if (secret.revision !== index.secretsRevision) {
    throw new Error(
      `${secretIndexFile}: belongs to another revision than ${publicIndexFile}; the other half is still on its way`,
    );
  }
  const files = await readShardFiles(root, shardsToRead(index, cache));
  const secretFiles = await readShardFiles(
    root,
    secret.shards.map(({ file }) => file),
  );
  const bundle = await readShards(index, files, { sha256, cache, pause: () => setImmediate() });
  return { index, bundle, secrets: readSecretShards(secret, secretFiles, { sha256 }) };
}

function same(left: ShardIndex, right: ShardIndex): boolean {
  return left.bundleHash === right.bundleHash && left.secretsRevision === right.secretsRevision;
}

async function readIndex<T extends ShardIndex | SecretIndex>(
  root: string,
  file: string,
  schema: z.ZodType<T>,
): Promise<T> {
  const text = (await readLimited(root, file)).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${file}: is not JSON`);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    ({ path, message }) => `${path.join('.') || '(root)'}: ${message}`,
  );
  throw new Error(`${file}: ${problems.slice(0, 3).join('; ')}`);
}

async function readShardFiles(root: string, names: readonly string[]): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const name of names) {
    const packed = await readLimited(root, name);
    try {
      files.set(name, await inflate(packed, { maxOutputLength: maxShardBytes }));
    } catch (error) {
      const tooLarge = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
      throw new Error(
        `${name}: ${tooLarge ? `grows beyond ${maxShardBytes} bytes` : 'is no complete gzip file'}`,
      );
    }
  }
  return files;
}

async function readLimited(root: string, file: string): Promise<Buffer> {
  const path = join(root, file);
  try {
    const { size } = await stat(path);
    if (size > maxFileBytes) throw new Error(`has ${size} bytes, more than ${maxFileBytes}`);
    return await readFile(path);
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    throw new Error(
      `${file}: ${missing ? 'is not there' : error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
