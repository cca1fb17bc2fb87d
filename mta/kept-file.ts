import { open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type * as z from 'zod';
import { DirectorySync } from './outbound/directory-sync.ts';
import { publish, stage } from './outbound/staged-file.ts';
import { problemOf } from './problem.ts';

/** Octets; a larger file was not written here. */
const maxBytes = 8_388_608;

interface KeptFileParts {
  readonly file: string;
  /** Milliseconds between two writes: what a process that is killed may forget. */
  readonly everyMs: number;
  /** What is to be kept as of now, and what to do once the disk has it. */
  readonly content: () => { readonly text: string; readonly kept?: () => void };
  /** Told when the file cannot be written: once, until it can be again. */
  readonly problem: (problem: string) => void;
}

/** A small file that outlives the process: written when something has changed, but seldom. It holds the old text or the new one at any moment. */
export class KeptFile {
  private readonly parts: KeptFileParts;
  private readonly sync = new DirectorySync();
  private readonly stopping = new AbortController();
  private isKept = true;
  private isTroubled = false;
  private writing: Promise<void> | undefined;

  constructor(parts: KeptFileParts) {
    this.parts = parts;
  }

  /** What is kept has changed. */
  changed(): void {
    this.isKept = false;
    this.writing ??= this.follow();
  }

  /** Writes what is not written yet. Never throws. */
  async close(): Promise<void> {
    this.stopping.abort();
    await this.writing;
    if (!this.isKept) await this.write();
  }

  private async follow(): Promise<void> {
    const { signal } = this.stopping;
    while (!this.isKept && !signal.aborted) {
      await this.write();
      await delay(this.parts.everyMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
    // In the same step as the last look at what has changed.
    this.writing = undefined;
  }

  private async write(): Promise<void> {
    const { text, kept } = this.parts.content();
    this.isKept = true;
    try {
      await this.replace(text);
      kept?.();
      this.isTroubled = false;
    } catch (error) {
      this.isKept = false;
      if (!this.isTroubled) this.parts.problem(problemOf(error));
      this.isTroubled = true;
    }
  }

  private async replace(text: string): Promise<void> {
    const { file } = this.parts;
    const place = { temporary: `${file}.tmp`, final: file, directory: dirname(file) };
    // A process that was killed may have left one.
    await rm(place.temporary, { force: true });
    await publish(await stage(place, [Buffer.from(text)]));
    await this.sync.sync(place.directory);
  }
}

/**
 * What an earlier process kept. Never throws.
 * @param problem told what is wrong with the file, if it cannot be read or holds anything else.
 * @returns undefined if there is nothing that can be used.
 */
export async function readKept<T>(
  { file, problem }: Pick<KeptFileParts, 'file' | 'problem'>,
  content: z.ZodType<T>,
): Promise<T | undefined> {
  try {
    return content.parse(JSON.parse(await readText(file)));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT'))
      problem(`${file}: ${problemOf(error)}`);
    return undefined;
  }
}

async function readText(file: string): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    if (size > maxBytes) throw new Error(`has ${size} octets; ${maxBytes} at most are read`);
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}
