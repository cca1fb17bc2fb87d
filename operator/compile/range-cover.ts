import { addressBits, maskAddress, type Range } from '../../policy/ip/range.ts';

/**
 * Answers whether a range lies within one of many: for each prefix length that occurs, the set of its networks. A list has
 * few different lengths, so this is a handful of set look-ups.
 */
export interface RangeCover {
  readonly v4: ReadonlyMap<number, ReadonlySet<number>>;
  readonly v6: ReadonlyMap<number, ReadonlySet<string>>;
}

/** Builds the cover of some ranges. */
export function coverOf(ranges: Iterable<Range>): RangeCover {
  const v4 = new Map<number, Set<number>>();
  const v6 = new Map<number, Set<string>>();
  for (const { address, prefix } of ranges) {
    if (address.family === 4) setOf(v4, prefix).add(address.words[0] ?? 0);
    else setOf(v6, prefix).add(address.words.join());
  }
  return { v4, v6 };
}

/**
 * Whether one single range of the cover contains the given one.
 *
 * @param proper a range that is itself in the cover does not count
 */
export function isCovered(range: Range, cover: RangeCover, proper = false): boolean {
  const limit = proper ? range.prefix - 1 : range.prefix;
  if (range.address.family === 4) {
    const word = range.address.words[0] ?? 0;
    for (const [prefix, networks] of cover.v4) {
      if (prefix <= limit && networks.has(prefix === 32 ? word : (word & (-1 << (32 - prefix))) >>> 0))
        return true;
    }
    return false;
  }
  for (const [prefix, networks] of cover.v6) {
    if (prefix > limit) continue;
    const network = prefix === addressBits(6) ? range.address : maskAddress(range.address, prefix);
    if (networks.has(network.words.join())) return true;
  }
  return false;
}

function setOf<K>(sets: Map<number, Set<K>>, prefix: number): Set<K> {
  const known = sets.get(prefix);
  if (known !== undefined) return known;
  const fresh = new Set<K>();
  sets.set(prefix, fresh);
  return fresh;
}
