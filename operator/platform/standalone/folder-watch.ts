import { type FSWatcher, watch } from 'node:fs';

export interface FolderWatchOptions {
  /** Called once after a burst of changes has ended. */
  readonly changed: () => void;
  /** Milliseconds of quiet that end a burst, and after which a burst that does not end is reported all the same. */
  readonly quietMs?: number;
  readonly burstMs?: number;
  /** Milliseconds between two reports without any event: file systems of the network tell nothing. */
  readonly pollMs?: number;
}

/** Tells when something in a set of folders may have changed. An editor saves in several steps; they count as one. */
export class FolderWatch {
  private readonly options: FolderWatchOptions;
  private readonly watchers = new Map<string, FSWatcher>();
  private poll: NodeJS.Timeout | undefined;
  private quiet: NodeJS.Timeout | undefined;
  private burstBegan = 0;
  private closed = false;

  constructor(options: FolderWatchOptions) {
    this.options = options;
  }

  /**
   * Watches exactly these folders, until `close`. One that cannot be watched is left to the poll. After `close` it does nothing: who
   * was still looking for folders then must not keep the process alive.
   */
  watch(folders: readonly string[]): void {
    if (this.closed) return;
    this.poll ??= setInterval(this.options.changed, this.options.pollMs ?? 3_000);
    const wanted = new Set(folders);
    for (const [folder, watcher] of this.watchers) {
      if (wanted.has(folder)) continue;
      watcher.close();
      this.watchers.delete(folder);
    }
    for (const folder of wanted) {
      if (this.watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, () => this.event());
        watcher.on('error', () => this.forget(folder));
        this.watchers.set(folder, watcher);
      } catch {
        this.forget(folder);
      }
    }
  }

  close(): void {
    this.closed = true;
    clearInterval(this.poll);
    clearTimeout(this.quiet);
    for (const watcher of this.watchers.values()) watcher.close();
    this.watchers.clear();
  }

  private event(): void {
    const { quietMs = 40, burstMs = 500, changed } = this.options;
    const now = performance.now();
    if (this.quiet === undefined) this.burstBegan = now;
    clearTimeout(this.quiet);
    const wait = Math.min(quietMs, Math.max(0, this.burstBegan + burstMs - now));
    this.quiet = setTimeout(() => {
      this.quiet = undefined;
      changed();
    }, wait);
  }

  private forget(folder: string): void {
    this.watchers.get(folder)?.close();
    this.watchers.delete(folder);
  }
}
