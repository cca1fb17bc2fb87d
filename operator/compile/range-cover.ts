import type { Address } from '../../policy/ip/address.ts';
import type { Range } from '../../policy/ip/range.ts';

/**
 * The widest ranges of a list, sorted by first address: those that no other one contains. CIDRs either lie in one another or
 * share nothing, so the widest ones are disjoint, and whether a range lies in any is one binary search.
 */
export interface RangeCover {
  readonly v4: Widest;
  readonly v6: Widest;
  /** How many there are. */
  readonly size: number;
}

interface Widest {
  /** 32-bit words of an address: 1 or 4. */
  readonly width: 1 | 4;
  /** First addresses, `width` words each. */
  readonly starts: Uint32Array;
  readonly prefixes: Uint8Array;
}

/** Builds the cover of some ranges. */
export function coverOf(ranges: Iterable<Range>): RangeCover {
  const v4: Range[] = [];
  const v6: Range[] = [];
  for (const range of ranges) (range.address.family === 4 ? v4 : v6).push(range);
  const narrow = widestOf(sortedV4(v4), 1);
  const wide = widestOf(
    v6.sort(
      (left, right) => compareWords(left.address.words, right.address.words) || left.prefix - right.prefix,
    ),
    4,
  );
  return { v4: narrow, v6: wide, size: narrow.prefixes.length + wide.prefixes.length };
}

/** Whether one single range of the cover contains the given one. */
export function isCovered({ address, prefix }: Range, { v4, v6 }: RangeCover): boolean {
  const widest = address.family === 4 ? v4 : v6;
  const place = lastUpTo(address, widest);
  return place >= 0 && (widest.prefixes[place] ?? 129) <= prefix && contains(widest, place, address);
}

/** A number holds address and prefix of an IPv4 range, and numbers sort many times faster than objects. */
function sortedV4(ranges: readonly Range[]): Range[] {
  const keys = new Float64Array(ranges.length);
  for (const [index, { address, prefix }] of ranges.entries())
    keys[index] = (address.words[0] ?? 0) * 64 + prefix;
  keys.sort();
  return Array.from(keys, (key) => ({
    address: { family: 4, words: [Math.floor(key / 64)] },
    prefix: key % 64,
  }));
}

/** @param ranges sorted by first address, of equal ones the wider first */
function widestOf(ranges: readonly Range[], width: 1 | 4): Widest {
  const starts = new Uint32Array(ranges.length * width);
  const prefixes = new Uint8Array(ranges.length);
  const widest: Widest = { width, starts, prefixes };
  let count = 0;
  for (const { address, prefix } of ranges) {
    if (count > 0 && contains(widest, count - 1, address)) continue;
    starts.set(address.words, count * width);
    prefixes[count] = prefix;
    count += 1;
  }
  return { width, starts: starts.slice(0, count * width), prefixes: prefixes.slice(0, count) };
}

/** Place of the last range that begins at or before the address, or -1. */
function lastUpTo({ words }: Address, { width, starts, prefixes }: Widest): number {
  let low = 0;
  let high = prefixes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareAt(starts, middle * width, words, width) <= 0) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Whether the address has the first bits of the range at the place. */
function contains({ width, starts, prefixes }: Widest, place: number, { words }: Address): boolean {
  let bits = prefixes[place] ?? 0;
  for (let index = 0; index < width && bits > 0; index += 1) {
    const different = ((starts[place * width + index] ?? 0) ^ (words[index] ?? 0)) >>> 0;
    if (bits >= 32 ? different !== 0 : different >>> (32 - bits) !== 0) return false;
    bits -= 32;
  }
  return true;
}

function compareAt(starts: Uint32Array, offset: number, words: readonly number[], width: number): number {
  for (let index = 0; index < width; index += 1) {
    const difference = (starts[offset + index] ?? 0) - (words[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function compareWords(left: readonly number[], right: readonly number[]): number {
  for (const [index, word] of left.entries()) {
    const difference = word - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
