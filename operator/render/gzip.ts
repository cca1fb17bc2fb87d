import { gzipSync } from 'node:zlib';

/**
 * gzip as it is used for every shard. Node writes no time stamp, so equal text gives equal bytes; level 6 is 3 % larger than
 * level 9 and three times as fast.
 */
export function gzip(text: string): Uint8Array {
  return gzipSync(text, { level: 6 });
}
