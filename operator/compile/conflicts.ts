import type { PosternObject } from '../api/index.ts';

/**
 * The order in which single places and shares of limits are given away: oldest first, then by name, so that a new object
 * never takes anything from one that acts already. A folder knows no creation times: there the name alone decides.
 */
export function byAge(left: PosternObject, right: PosternObject): number {
  return (
    compare(left.metadata.creationTimestamp ?? '', right.metadata.creationTimestamp ?? '') ||
    compare(left.metadata.name, right.metadata.name) ||
    compare(left.kind, right.kind)
  );
}

/** Single places, each held by the first who asks. Ask oldest first. */
export class Places<T> {
  readonly #holders = new Map<string, T>();

  /** @returns undefined if the place is the asker's now, else who holds it */
  claim(place: string, asker: T): T | undefined {
    const holder = this.#holders.get(place);
    if (holder === undefined) this.#holders.set(place, asker);
    return holder;
  }

  /** Who holds the place. */
  holder(place: string): T | undefined {
    return this.#holders.get(place);
  }
}

/** Shares of limits by place. Ask oldest first: who does not fit gets nothing, and later, smaller ones still may. */
export class Shares {
  readonly #used = new Map<string, number>();
  readonly #limit: number;

  /** @param limit what one place can give */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns whether the amount was granted */
  take(place: string, amount: number): boolean {
    const used = this.used(place) + amount;
    if (used > this.#limit) return false;
    this.#used.set(place, used);
    return true;
  }

  /** What was granted so far. */
  used(place: string): number {
    return this.#used.get(place) ?? 0;
  }
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
