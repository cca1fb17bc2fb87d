import { type FileHandle, open } from 'node:fs/promises';

/**
 * Makes renames in a directory durable. Callers that come while a run is under way share the next one, so that under load
 * many messages pay for one fsync.
 */
export class DirectorySync {
  private readonly directories = new Map<string, Run>();

  /** @throws the file system's error. */
  sync(directory: string): Promise<void> {
    const run = this.directories.get(directory);
    const waiting = Promise.withResolvers<void>();
    if (run !== undefined) {
      // What is under way may have missed our rename: this one is for the next.
      run.waiting.push(waiting);
      return waiting.promise;
    }
    const begun = { waiting: [waiting] };
    this.directories.set(directory, begun);
    void this.follow(directory, begun);
    return waiting.promise;
  }

  /** Synchronises until nobody waits. The directory stays open for that long. */
  private async follow(directory: string, run: Run): Promise<void> {
    let handle: FileHandle | undefined;
    while (run.waiting.length > 0) {
      const served = run.waiting.splice(0);
      try {
        handle ??= await open(directory, 'r');
        await handle.sync();
        for (const { resolve } of served) resolve();
      } catch (error) {
        for (const { reject } of served) reject(error);
      }
    }
    this.directories.delete(directory);
    await handle?.close().catch(() => undefined);
  }
}

/** Callers that wait for the next synchronisation of a directory. */
interface Run {
  readonly waiting: PromiseWithResolvers<void>[];
}
