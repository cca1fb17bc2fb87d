import { closeSync, constants, open as openCallback, writev } from 'node:fs';
import { rename, unlink } from 'node:fs/promises';
import { promisify } from 'node:util';

const open = promisify(openCallback);
const write = promisify(writev);

/** With O_DSYNC a write returns when the disk has it, as if fdatasync(2) came after it: one way to the thread pool less. */
const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_DSYNC;

/** A file that is written and safe on disk under a temporary name, and becomes visible by a rename. */
export interface StagedFile {
  readonly temporary: string;
  readonly final: string;
  /** Its directory, to be synchronised after the rename. */
  readonly directory: string;
}

/**
 * Writes a file under its temporary name and waits until the disk has it.
 * @throws the file system's error (disk full, read-only, ...); the temporary file is gone then.
 */
export async function stage(file: StagedFile, chunks: readonly Buffer[]): Promise<StagedFile> {
  const descriptor = await open(file.temporary, flags, 0o600);
  try {
    try {
      const { bytesWritten } = await write(descriptor, chunks);
      const expected = chunks.reduce((sum, { length }) => sum + length, 0);
      if (bytesWritten !== expected)
        throw new Error(`${file.temporary}: ${bytesWritten} of ${expected} bytes written`);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    await unlink(file.temporary).catch(() => undefined);
    throw error;
  }
  return file;
}

/** Makes a staged file visible. The rename is durable once the directory is synchronised. */
export async function publish({ temporary, final }: StagedFile): Promise<void> {
  await rename(temporary, final);
}

/** Takes a staged or published file back, as far as the file system lets us. Never throws. */
export async function withdraw({ temporary, final }: StagedFile): Promise<void> {
  await unlink(temporary).catch(() => undefined);
  await unlink(final).catch(() => undefined);
}
