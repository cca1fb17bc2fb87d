import type { SecretBundle } from '../bundle/policy-bundle.ts';
import type { RoutePolicy } from '../bundle/route-policy.ts';
import type { ShardIndex } from '../bundle/shard-index.ts';
import type { Policy } from '../policy/load.ts';
import { PolicyReader } from './bundle-load.ts';
import { DirectoryWatch } from './directory-watch.ts';

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
  private readonly events: WatchEvents;
  private readonly now: () => number;
  private readonly reader: PolicyReader;
  private readonly files: DirectoryWatch;
  private loaded: LoadedBundle | undefined;
  private failedSince = 0;

  constructor(directory: string, now: () => number, events: WatchEvents) {
    this.reader = new PolicyReader(directory);
    this.now = now;
    this.events = events;
    this.files = new DirectoryWatch({
      directory,
      look: () => this.load(),
      failed: (message) => {
        this.failedSince = now();
        events.failed(message);
      },
    });
  }

  /** The policy in force; undefined until the first one was complete. */
  get current(): LoadedBundle | undefined {
    return this.loaded;
  }

  /** Why the newest files are not what is loaded; undefined when they are. */
  get loadError(): { message: string; since: number } | undefined {
    const { problem } = this.files;
    return problem === undefined ? undefined : { message: problem, since: this.failedSince };
  }

  /** Loads what is there and keeps watching. Never throws: an empty or broken directory is a state, not an end. */
  start(): Promise<void> {
    return this.files.start();
  }

  stop(): void {
    this.files.stop();
  }

  private async load(): Promise<void> {
    const read = await this.reader.read(this.loaded);
    if (read === undefined) return;
    const { domains, routes } = read.policy;
    this.loaded = { ...read, routes, domains: new Set(domains.keys()), loadedAt: this.now() };
    this.events.loaded(this.loaded);
  }
}
