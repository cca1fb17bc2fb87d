import {
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';

/** Entries of kubelet's atomic writer: the current set, the link being made, and the time-stamped directories. */
const current = '..data';
const next = '..data_tmp';
const datedPrefix = '..';

/**
 * Makes the directory hold exactly `files`, all of them changing in one step, in the layout of kubelet's atomic writer
 * (kubernetes pkg/volume/util/atomic_writer.go): `..data` links to a dated directory, every file name links through `..data`,
 * and a new set becomes current by renaming one symbolic link. A reader that opens files below `..data` never sees a mixture.
 *
 * @param directory made if it is missing, mode 0700.
 * @param files contents by file name (no slashes). Files are written with mode 0600, since a set may hold secrets.
 * @param now milliseconds since the epoch; names the dated directory.
 * @returns false if the directory held the same bytes already: then nothing was written.
 * @throws the file system's error; the set that was current stays current.
 */
export async function writeVolume(
  directory: string,
  files: ReadonlyMap<string, Uint8Array>,
  now: number,
): Promise<boolean> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const before = await currentDirectory(directory);
  if (before !== undefined && (await holdsExactly(join(directory, before), files))) return false;

  const dated = await makeDatedDirectory(directory, now);
  for (const [name, bytes] of files) await writeFile(join(directory, dated, name), bytes, { mode: 0o600 });
  await rm(join(directory, next), { force: true });
  await symlink(dated, join(directory, next));
  await rename(join(directory, next), join(directory, current));

  await linkNames(directory, files);
  await removeStale(directory, dated, files);
  return true;
}

async function currentDirectory(directory: string): Promise<string | undefined> {
  try {
    return await readlink(join(directory, current));
  } catch {
    return undefined;
  }
}

async function holdsExactly(directory: string, files: ReadonlyMap<string, Uint8Array>): Promise<boolean> {
  try {
    const names = await readdir(directory);
    if (names.length !== files.size) return false;
    for (const [name, bytes] of files) {
      if (!(await readFile(join(directory, name))).equals(bytes)) return false;
    }
    return true;
  } catch {
    return false;
  }
}

async function makeDatedDirectory(directory: string, now: number): Promise<string> {
  const stamp = new Date(now).toISOString().replace(/[-:]/g, '_').replace('T', '_').replace('Z', '');
  for (let attempt = 0; ; attempt += 1) {
    const name = `..${stamp}.${process.pid}.${attempt}`;
    try {
      await mkdir(join(directory, name), { mode: 0o700 });
      return name;
    } catch (error) {
      const taken = error instanceof Error && 'code' in error && error.code === 'EEXIST';
      if (!taken || attempt > 1_000) throw error;
    }
  }
}

/** Links for new names come after the swap, links to gone names go after it: kubelet's order. */
async function linkNames(directory: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const name of files.keys()) {
    const path = join(directory, name);
    try {
      await lstat(path);
    } catch {
      await symlink(join(current, name), path);
    }
  }
}

async function removeStale(
  directory: string,
  dated: string,
  files: ReadonlyMap<string, Uint8Array>,
): Promise<void> {
  for (const name of await readdir(directory)) {
    if (name === current || name === next || name === dated || files.has(name)) continue;
    if (name.startsWith(datedPrefix)) await rm(join(directory, name), { recursive: true, force: true });
    else await unlink(join(directory, name));
  }
}
