import { open, rename, unlink } from 'node:fs/promises';

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
  const handle = await open(file.temporary, 'wx', 0o600);
  try {
    const { bytesWritten } = await handle.writev(chunks);
    const expected = chunks.reduce((sum, { length }) => sum + length, 0);
    if (bytesWritten !== expected)
      throw new Error(`${file.temporary}: ${bytesWritten} of ${expected} bytes written`);
    await handle.sync();
  } catch (error) {
    await handle.close();
    await unlink(file.temporary).catch(() => undefined);
    throw error;
  }
  await handle.close();
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
