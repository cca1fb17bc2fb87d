import type { MtaState } from '../bundle/state.ts';
import type { Because } from '../policy/types.ts';
import { Seldom } from './seldom.ts';

/** An entry of a list that mail has met. */
export interface EntryHits {
  /** Name of the IpAccessList. */
  readonly list: string;
  readonly entry: string;
  readonly hits: number;
  /** Seconds since the epoch. */
  readonly lastHit: number;
}

interface Count {
  hits: number;
  lastHit: number;
}

/** Entries that are counted one by one: full lists of five domains. What comes after them is counted for its list alone. */
const maxEntries = 100_000;

/** Counts which entries of IP lists have decided about mail. In memory only: a status never holds live data. */
export class Hits {
  private readonly lists = new Map<string, Map<string, Count>>();
  private entries = 0;
  private readonly summary = new Seldom<NonNullable<MtaState['entriesHit']>>();

  /** @param now seconds since the epoch. */
  note(because: Because | undefined, now: number): void {
    if (because?.kind !== 'IpAccessList') return;
    const counts = this.lists.get(because.name) ?? new Map<string, Count>();
    this.lists.set(because.name, counts);
    const count = counts.get(because.entry);
    if (count !== undefined) {
      count.hits += 1;
      count.lastHit = now;
    } else if (this.entries < maxEntries) {
      this.entries += 1;
      counts.set(because.entry, { hits: 1, lastHit: now });
    }
  }

  /** Lists that are in no policy any more are forgotten. */
  keep(lists: ReadonlySet<string>): void {
    for (const [name, counts] of this.lists) {
      if (lists.has(name)) continue;
      this.entries -= counts.size;
      this.lists.delete(name);
    }
  }

  /** Every entry that was met, most recent first. */
  all(): EntryHits[] {
    const found = [...this.lists].flatMap(([list, counts]) =>
      [...counts].map(([entry, { hits, lastHit }]) => ({ list, entry, hits, lastHit })),
    );
    return found.sort((left, right) => right.lastHit - left.lastHit);
  }

  /**
   * List name -> how many of its entries were met, as of ten minutes ago at most. The first ones are told at once.
   * @param now seconds since the epoch.
   */
  summarize(now: number): NonNullable<MtaState['entriesHit']> {
    const lists = Object.fromEntries([...this.lists].map(([list, counts]) => [list, counts.size]));
    // Until the first hit there is nothing that could change too often.
    return this.lists.size === 0 ? lists : this.summary.tell(lists, now);
  }
}
