import { open } from 'node:fs/promises';

/**
 * Makes renames in a directory durable. Callers that come while a run is under way share the next one, so that under load
 * many messages pay for one fsync.
 */
export class DirectorySync {
  private readonly directories = new Map<
    string,
    { running: Promise<void>; next: Promise<void> | undefined }
  >();

  /** @throws the file system's error. */
  async sync(directory: string): Promise<void> {
    const state = this.directories.get(directory);
    if (state === undefined) {
      const running = this.run(directory);
      this.directories.set(directory, { running, next: undefined });
      return running;
    }
    // A run that has begun may have missed our rename: wait for one that begins after it.
    state.next ??= state.running
      .catch(() => undefined)
      .then(() => {
        const running = this.run(directory);
        this.directories.set(directory, { running, next: undefined });
        return running;
      });
    return state.next;
  }

  private async run(directory: string): Promise<void> {
    try {
      const handle = await open(directory, 'r');
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    } finally {
      const state = this.directories.get(directory);
      if (state !== undefined && state.next === undefined) this.directories.delete(directory);
    }
  }
}
