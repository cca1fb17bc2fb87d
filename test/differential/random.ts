/** A reproducible source of chance: the same seed gives the same cases on every machine. */
export interface Random {
  /** A whole number from 0 to below `end`. */
  int(end: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** One of the items. @throws RangeError if there are none. */
  pick<T>(items: readonly T[]): T;
  /** Between `min` and `max` of the items (both included), each at most once, in the order given. */
  some<T>(items: readonly T[], min: number, max: number): readonly T[];
}

/** Mulberry32: 32 bits of state are plenty for some ten thousand cases. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (end: number): number => Math.floor(next() * end);
  return {
    int,
    chance: (probability) => next() < probability,
    pick: (items) => {
      const item = items[int(items.length)];
      if (item === undefined) throw new RangeError('nothing to pick from');
      return item;
    },
    some: (items, min, max) => {
      const wanted = Math.min(items.length, min + int(max - min + 1));
      const keyed = items.map((item, position) => ({ item, position, key: next() }));
      const chosen = keyed.toSorted((left, right) => left.key - right.key).slice(0, wanted);
      return chosen.toSorted((left, right) => left.position - right.position).map(({ item }) => item);
    },
  };
}
