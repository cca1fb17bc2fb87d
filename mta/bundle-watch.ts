import { type FSWatcher, watch } from 'node:fs';
import type { SecretBundle } from '../bundle/policy-bundle.ts';
import type { RoutePolicy } from '../bundle/route-policy.ts';
import type { ShardIndex } from '../bundle/shard-index.ts';
import type { Policy } from '../policy/load.ts';
import { PolicyReader } from './bundle-load.ts';

/** Everything that one policy bundle says, ready for use. Swapped as a whole. */
export interface LoadedBundle {
  readonly index: ShardIndex;
  readonly secrets: SecretBundle;
  readonly policy: Policy;
  readonly routes: ReadonlyMap<string, RoutePolicy>;
  readonly domains: ReadonlySet<string>;
  /** Seconds since the epoch. */
  readonly loadedAt: number;
}

/** Kubelet swaps a volume by renaming this link; every other event of a swap is noise. */
const dataLink = '..data';
/** Net under the watcher: not every file system tells about renames. */
const pollMs = 30_000;
/** A missing other half (ConfigMaps and Secrets arrive apart) is looked for soon again. */
const retryMs = 1_000;

interface WatchEvents {
  readonly loaded: (bundle: LoadedBundle) => void;
  /** Called once for each different problem. */
  readonly failed: (message: string) => void;
}

/**
 * Keeps the newest complete policy in memory. Whatever lies on disk, what is loaded stays until something better is
 * complete, verified and indexed; the swap is one assignment.
 */
export class BundleWatch {
  private readonly directory: string;
  private readonly events: WatchEvents;
  private readonly now: () => number;
  private readonly reader: PolicyReader;
  private loaded: LoadedBundle | undefined;
  private problem: { message: string; since: number } | undefined;
  private watcher: FSWatcher | undefined;
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private again = false;
  private stopped = false;

  constructor(directory: string, now: () => number, events: WatchEvents) {
    this.directory = directory;
    this.reader = new PolicyReader(directory);
    this.now = now;
    this.events = events;
  }

  /** The policy in force; undefined until the first one was complete. */
  get current(): LoadedBundle | undefined {
    return this.loaded;
  }

  /** Why the newest files are not what is loaded; undefined when they are. */
  get loadError(): { message: string; since: number } | undefined {
    return this.problem;
  }

  /** Loads what is there and keeps watching. Never throws: an empty or broken directory is a state, not an end. */
  async start(): Promise<void> {
    try {
      this.watcher = watch(this.directory, { persistent: false }, (_event, name) => {
        if (name === null || name === dataLink || !name.startsWith('..')) this.check();
      });
      this.watcher.on('error', () => this.watcher?.close());
    } catch {
      // The poll finds the directory when it appears.
    }
    await this.check();
  }

  stop(): void {
    this.stopped = true;
    this.watcher?.close();
    clearTimeout(this.timer);
  }

  /** Looks at the directory now. Calls that come during a look cause one more look, not several. */
  check(): Promise<void> {
    if (this.running !== undefined) {
      this.again = true;
      return this.running;
    }
    this.running = this.loop().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  private async loop(): Promise<void> {
    do {
      this.again = false;
      await this.load();
    } while (this.again && !this.stopped);
    clearTimeout(this.timer);
    if (this.stopped) return;
    this.timer = setTimeout(() => this.check(), this.problem === undefined ? pollMs : retryMs);
    this.timer.unref();
  }

  private async load(): Promise<void> {
    try {
      const read = await this.reader.read(this.loaded);
      if (read !== undefined) {
        const { domains, routes } = read.policy;
        this.loaded = { ...read, routes, domains: new Set(domains.keys()), loadedAt: this.now() };
        this.events.loaded(this.loaded);
      }
      this.problem = undefined;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (this.problem?.message === message) return;
      this.problem = { message, since: this.now() };
      this.events.failed(message);
    }
  }
}
