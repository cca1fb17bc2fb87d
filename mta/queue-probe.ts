import { open, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/** How long an answer is believed, in milliseconds. */
const believedMs = 1_000;
/** As much as a middling mail: a full disk still takes an empty file. */
const probeBytes = Buffer.alloc(65_536);

/** Tells whether mail could be written to the queue now, by writing something. */
export class QueueProbe {
  private readonly path: string;
  private last: { at: number; answer: Promise<boolean> } | undefined;

  /** @param prefix of names that Haraka takes for left-overs, so that a probe is never taken for mail. */
  constructor(directory: string, prefix: string) {
    this.path = join(directory, `${prefix}writable-${process.pid}`);
  }

  writable(): Promise<boolean> {
    const at = Date.now();
    if (this.last === undefined || at - this.last.at > believedMs) this.last = { at, answer: this.probe() };
    return this.last.answer;
  }

  private async probe(): Promise<boolean> {
    try {
      const handle = await open(this.path, 'w', 0o600);
      try {
        const { bytesWritten } = await handle.write(probeBytes);
        // The last piece of a disk takes a part of it, and says so without an error.
        if (bytesWritten < probeBytes.length) return false;
        await handle.sync();
      } finally {
        await handle.close();
      }
      return true;
    } catch {
      return false;
    } finally {
      await unlink(this.path).catch(() => undefined);
    }
  }
}
