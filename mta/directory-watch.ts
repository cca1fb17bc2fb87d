import { type FSWatcher, watch } from 'node:fs';
import { problemOf } from './problem.ts';

/** Kubelet swaps a volume by renaming this link; every other event of a swap is noise. */
const dataLink = '..data';
/** Net under the watcher: not every file system tells about renames. */
const pollMs = 30_000;
/** After a look that found something unusable: the rest of it may come in a moment. */
const firstRetryMs = 1_000;

/** Calls once after a time in milliseconds, unless what it returns is called before. */
export type Timer = (run: () => void, ms: number) => () => void;

interface DirectoryWatchOptions {
  readonly directory: string;
  /** Takes in what lies there. Never called again before it has ended. @throws Error saying what cannot be used */
  readonly look: () => Promise<void>;
  /** Called once for each different problem. */
  readonly failed: (problem: string) => void;
  readonly after?: Timer;
}

/**
 * Looks at a directory whenever something changes in it, and from time to time. Files that cannot be used are read again ever more
 * seldom (a policy may be 15 MB), until the next change.
 */
export class DirectoryWatch {
  private readonly options: DirectoryWatchOptions;
  private readonly after: Timer;
  private watcher: FSWatcher | undefined;
  private cancel: () => void = () => undefined;
  private found: string | undefined;
  private failures = 0;
  private running: Promise<void> | undefined;
  private again = false;
  private following = false;

  constructor(options: DirectoryWatchOptions) {
    this.options = options;
    this.after = options.after ?? unhurried;
  }

  /** Why what lies there cannot be used; undefined if it can, or nobody has looked yet. */
  get problem(): string | undefined {
    return this.found;
  }

  /** Looks, and keeps watching until `stop`. Never throws: an empty or broken directory is a state, not an end. */
  start(): Promise<void> {
    this.following = true;
    return this.check();
  }

  stop(): void {
    this.following = false;
    this.watcher?.close();
    this.cancel();
  }

  /** Looks at the directory now. Calls that come during a look cause one more look, not several. */
  check(): Promise<void> {
    if (this.running !== undefined) {
      this.again = true;
      return this.running;
    }
    this.running = this.lookOnce().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  private async lookOnce(): Promise<void> {
    do {
      this.again = false;
      // A directory that was taken away and made anew tells its old watcher nothing.
      if (this.following && (this.watcher === undefined || this.failures > 0)) this.watch();
      await this.look();
    } while (this.again);
    if (!this.following) return;
    this.cancel();
    this.cancel = this.after(() => this.check(), nextLookMs(this.failures));
  }

  private async look(): Promise<void> {
    try {
      await this.options.look();
      this.failures = 0;
      this.found = undefined;
    } catch (error) {
      this.failures += 1;
      const problem = problemOf(error);
      if (this.found === problem) return;
      this.found = problem;
      this.options.failed(problem);
    }
  }

  private watch(): void {
    this.watcher?.close();
    this.watcher = undefined;
    try {
      const watcher = watch(this.options.directory, { persistent: false }, (_event, name) => {
        if (name !== null && name !== dataLink && name.startsWith('..')) return;
        this.failures = 0;
        this.check();
      });
      watcher.on('error', () => watcher.close());
      this.watcher = watcher;
    } catch {
      // The next look finds the directory when it appears.
    }
  }
}

/**
 * Milliseconds until the next look if nothing changes before.
 *
 * @param failures looks in a row that found something unusable
 */
export function nextLookMs(failures: number): number {
  return failures === 0 ? pollMs : Math.min(firstRetryMs * 2 ** (failures - 1), pollMs);
}

/** A watch alone keeps no process alive. */
function unhurried(run: () => void, ms: number): () => void {
  const timer = setTimeout(run, ms);
  timer.unref();
  return () => clearTimeout(timer);
}
