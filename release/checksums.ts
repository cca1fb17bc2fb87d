import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';

/** SHA-256 in hex of files of a folder, by their names. */
export async function checksumsOf(folder: string, files: readonly string[]): Promise<Map<string, string>> {
  const sums = new Map<string, string>();
  for (const file of files) {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(join(folder, file))) hash.update(chunk);
    sums.set(file, hash.digest('hex'));
  }
  return sums;
}
