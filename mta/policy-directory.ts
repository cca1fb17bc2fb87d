import { createHash } from 'node:crypto';
import { open, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type * as z from 'zod';
import {
  publicIndexFile,
  type SecretIndex,
  type ShardIndex,
  secretIndex,
  secretIndexFile,
  shardIndex,
} from '../bundle/shard-index.ts';
import type { ShardSource } from '../bundle/shards.ts';
import { problemOf } from './problem.ts';

const inflate = promisify(gunzip);

/** Bytes of an index or of a shard as it lies on disk: a ConfigMap holds 1 MiB. */
const maxFileBytes = 1_048_576;
/** Bytes of a shard after decompression. A shard of 512 KiB that grows beyond this is no policy (a "zip bomb"). */
const maxShardBytes = 32 * 1_048_576;
/** Most shards are smaller inflated, and then zlib needs no second buffer nor a copy. */
const inflateBytes = 1_048_576;

/**
 * The policy directory as it is at one moment: all files come from one target of `..data`, so that a swap in between shows as
 * a missing file and never as a mixture. Every method throws an Error that says which file is wrong and how; it never quotes
 * content, which may be secret. One call at a time: all files go through one buffer.
 */
export class PolicyDirectory implements ShardSource {
  /**
   * Hash of a shard as it lies on disk -> hash of what it inflates to, for the files that were read or verified here. Given
   * to the next one, it verifies an unchanged file without inflating it.
   */
  readonly verified = new Map<string, string>();
  private readonly root: string;
  private readonly verifiedBefore: ReadonlyMap<string, string>;
  private readonly buffer = Buffer.allocUnsafeSlow(maxFileBytes + 1);

  private constructor(root: string, verifiedBefore: ReadonlyMap<string, string>) {
    this.root = root;
    this.verifiedBefore = verifiedBefore;
  }

  static async open(
    directory: string,
    verifiedBefore: ReadonlyMap<string, string> = new Map(),
  ): Promise<PolicyDirectory> {
    return new PolicyDirectory(
      await realpath(join(directory, '..data')).catch(() => directory),
      verifiedBefore,
    );
  }

  index(): Promise<ShardIndex> {
    return this.parse(publicIndexFile, shardIndex);
  }

  /** @throws also if it does not belong to the public index. */
  async secretIndex(index: ShardIndex): Promise<SecretIndex> {
    const file = secretIndexFile(index.secretsRevision);
    const secret = await this.parse(file, secretIndex);
    if (secret.revision !== index.secretsRevision)
      throw new Error(`${file}: belongs to another revision than ${publicIndexFile}`);
    return secret;
  }

  /** @returns the bytes of a shard after gunzip. */
  async read(file: string): Promise<Uint8Array> {
    const packed = await this.bytes(file);
    const packedHash = sha256(packed);
    try {
      const bytes = await inflate(packed, { maxOutputLength: maxShardBytes, chunkSize: inflateBytes });
      this.verified.set(packedHash, sha256(bytes));
      return bytes;
    } catch (error) {
      const tooLarge = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
      throw new Error(
        `${file}: ${tooLarge ? `grows beyond ${maxShardBytes} bytes` : 'is no complete gzip file'}`,
      );
    }
  }

  async verify(file: string, wanted: string): Promise<void> {
    const packedHash = sha256(await this.bytes(file));
    if (this.verifiedBefore.get(packedHash) === wanted) this.verified.set(packedHash, wanted);
    else if (sha256(await this.read(file)) !== wanted)
      throw new Error(`${file}: its content does not match the hash in the index`);
  }

  private async parse<T>(file: string, schema: z.ZodType<T>): Promise<T> {
    const text = (await this.bytes(file)).toString('utf8');
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

  /** The bytes on disk; they stand in the buffer until the next call. */
  private async bytes(file: string): Promise<Buffer> {
    try {
      await using handle = await open(join(this.root, file));
      let length = 0;
      for (;;) {
        const { bytesRead } = await handle.read(this.buffer, length, this.buffer.length - length);
        length += bytesRead;
        if (length > maxFileBytes) throw new Error(`has more than ${maxFileBytes} bytes`);
        if (bytesRead === 0) return this.buffer.subarray(0, length);
      }
    } catch (error) {
      const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      throw new Error(`${file}: ${missing ? 'is not there' : problemOf(error)}`);
    }
  }
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
