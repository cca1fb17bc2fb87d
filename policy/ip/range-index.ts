import type { Address } from './address.ts';
import type { Range } from './range.ts';
import { parseRange } from './range.ts';

/**
 * The ranges of one list, ready for look-up: for each family parallel typed arrays sorted by first address. Two million
 * entries must fit beside an MTA, so nothing is kept per entry but its bits (5 bytes for IPv4, 17 for IPv6); the text of a
 * match is written again from them.
 */
export interface RangeIndex {
  readonly v4: Table;
  readonly v6: Table;
}

interface Table {
  /** 32-bit words of an address: 1 or 4. */
  readonly width: 1 | 4;
  readonly count: number;
  /** First addresses, `width` words each, ascending; of two equal ones the wider range first. */
  readonly starts: Uint32Array;
  readonly prefixes: Uint8Array;
  /** For each range the narrowest one that contains it, or -1. Absent if no range lies in another. */
  readonly parents?: Int32Array;
  /** Seconds since the epoch at which the range stops acting; Infinity: never. Absent if none ever does. */
  readonly expires?: Float64Array;
}

/** Entries handled between two `yield`s of a build: a few milliseconds even before the code is compiled. */
const slice = 1024;

/**
 * Builds the index of a list. A generator, so that who loads many lists can let others run at each `yield`.
 * @param ranges what `parseRange` takes, in any order.
 * @param expires text of a range -> seconds since the epoch at which it stops acting.
 * @throws RangeError naming the first text that is no range.
 */
export function* buildRangeIndex(
  ranges: readonly string[],
  expires: Readonly<Record<string, number>>,
): Generator<void, RangeIndex> {
  const draft = createRangeDraft();
  yield* addRanges(draft, ranges, expires);
  return yield* finishRangeIndex(draft);
}

/** Ranges on their way into an index, already as bits: a list of which one piece is read after the other. */
export interface RangeDraft {
  readonly v4: Draft;
  readonly v6: Draft;
}

/** A draft without a range. */
export function createRangeDraft(): RangeDraft {
  return { v4: draftOf(1), v6: draftOf(4) };
}

/** Adds ranges, in any order; parameters and errors as `buildRangeIndex`. The texts are not kept. */
export function* addRanges(
  draft: RangeDraft,
  ranges: readonly string[],
  expires: Readonly<Record<string, number>>,
): Generator<void, void> {
  let sixes = 0;
  for (const text of ranges) if (text.includes(':')) sixes++;
  reserve(draft.v4, ranges.length - sixes);
  reserve(draft.v6, sixes);
  const expiring = Object.keys(expires).length > 0;
  for (let i = 0; i < ranges.length; i++) {
    const text = ranges[i] ?? '';
    const range = parseRange(text);
    if (range === undefined) throw new RangeError(`"${text}" is no canonical address or CIDR`);
    const until = expiring && Object.hasOwn(expires, text) ? expires[text] : undefined;
    add(range.address.family === 4 ? draft.v4 : draft.v6, range, until);
    if (i % slice === slice - 1) yield;
  }
}

/** Sorts a draft into the index. The draft is of no use afterwards. */
export function* finishRangeIndex(draft: RangeDraft): Generator<void, RangeIndex> {
  return { v4: yield* finish(draft.v4), v6: yield* finish(draft.v6) };
}

/**
 * The narrowest range of the list that holds the address and acts at `now`.
 * @param now seconds since the epoch; a range with an expiry acts while `now` is before it.
 */
export function findRange(index: RangeIndex, address: Address, now: number): Range | undefined {
  const table = address.family === 4 ? index.v4 : index.v6;
  const { expires, parents } = table;
  let at = lastStartingAtOrBefore(table, address.words);
  while (at >= 0) {
    if ((expires === undefined || now < (expires[at] ?? 0)) && holds(table, at, address.words)) {
      return rangeAt(table, at, address.family);
    }
    // CIDRs nest or are apart, so every other range that holds the address also holds this one.
    at = parents === undefined ? -1 : (parents[at] ?? -1);
  }
  return undefined;
}

interface Draft {
  readonly width: 1 | 4;
  starts: Uint32Array<ArrayBuffer>;
  prefixes: Uint8Array<ArrayBuffer>;
  expires: Float64Array<ArrayBuffer> | undefined;
  count: number;
}

function draftOf(width: 1 | 4): Draft {
  return { width, starts: new Uint32Array(), prefixes: new Uint8Array(), expires: undefined, count: 0 };
}

/** Makes room for so many ranges more: for exactly those at first, and twice the room whenever it was too little. */
function reserve(draft: Draft, more: number): void {
  const room = draft.prefixes.length;
  const needed = draft.count + more;
  if (needed <= room) return;
  const capacity = Math.max(needed, 2 * room);
  draft.starts = new Uint32Array(draft.starts.buffer.transfer(4 * capacity * draft.width));
  draft.prefixes = new Uint8Array(draft.prefixes.buffer.transfer(capacity));
  if (draft.expires === undefined) return;
  draft.expires = new Float64Array(draft.expires.buffer.transfer(8 * capacity));
  draft.expires.fill(Number.POSITIVE_INFINITY, room);
}

/**
 * Gives the bytes of arrays back at once. The collector would do it some time: when a full policy is loaded that is as much
 * again as the indexes that stay, and in pieces between them.
 */
function release(...arrays: readonly (ArrayBufferView<ArrayBuffer> | undefined)[]): void {
  for (const array of arrays) array?.buffer.transfer(0);
}

function add(to: Draft, range: Range, until: number | undefined): void {
  to.starts.set(range.address.words, to.count * to.width);
  to.prefixes[to.count] = range.prefix;
  if (until !== undefined) {
    to.expires ??= new Float64Array(to.prefixes.length).fill(Number.POSITIVE_INFINITY);
    to.expires[to.count] = until;
  }
  to.count++;
}

function* finish(from: Draft): Generator<void, Table> {
  const { width, count } = from;
  const order = yield* sortedOrder(from);
  const starts = new Uint32Array(count * width);
  const prefixes = new Uint8Array(count);
  const expires = from.expires === undefined ? undefined : new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const source = order[i] ?? 0;
    for (let w = 0; w < width; w++) starts[i * width + w] = from.starts[source * width + w] ?? 0;
    prefixes[i] = from.prefixes[source] ?? 0;
    if (expires !== undefined) expires[i] = from.expires?.[source] ?? 0;
    if (i % slice === slice - 1) yield;
  }
  release(order, from.starts, from.prefixes, from.expires);
  const table: Table = { width, count, starts, prefixes, ...(expires && { expires }) };
  const parents = yield* nesting(table);
  return { ...table, ...(parents && { parents }) };
}

/** Sorts by first address, then prefix: least significant byte first, because that needs no comparator and no objects. */
function* sortedOrder({ width, count, starts, prefixes }: Draft): Generator<void, Uint32Array<ArrayBuffer>> {
  let order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  let spare = new Uint32Array(count);
  const digits = new Uint8Array(count);
  const buckets = new Uint32Array(257);
  for (let pass = 0; pass <= width * 4; pass++) {
    buckets.fill(0);
    for (let i = 0; i < count; i++) {
      const digit = pass === 0 ? (prefixes[i] ?? 0) : byteOf(starts, width, i, pass - 1);
      digits[i] = digit;
      buckets[digit + 1] = (buckets[digit + 1] ?? 0) + 1;
    }
    if (buckets.indexOf(count) > 0) continue;
    for (let digit = 0; digit < 256; digit++) {
      buckets[digit + 1] = (buckets[digit + 1] ?? 0) + (buckets[digit] ?? 0);
    }
    for (let i = 0; i < count; i++) {
      const entry = order[i] ?? 0;
      const digit = digits[entry] ?? 0;
      const to = buckets[digit] ?? 0;
      spare[to] = entry;
      buckets[digit] = to + 1;
    }
    [order, spare] = [spare, order];
    if (count > slice) yield;
  }
  release(spare, digits);
  return order;
}

/** Byte `n` of a first address, 0 being the least significant. */
function byteOf(starts: Uint32Array, width: number, entry: number, n: number): number {
  const word = starts[entry * width + (width - 1 - (n >>> 2))] ?? 0;
  return (word >>> (8 * (n & 3))) & 0xff;
}

function* nesting(table: Table): Generator<void, Int32Array | undefined> {
  const parents = new Int32Array(table.count);
  let nested = false;
  const address: number[] = [];
  for (let i = 0; i < table.count; i++) {
    for (let w = 0; w < table.width; w++) address[w] = table.starts[i * table.width + w] ?? 0;
    let outer = i - 1;
    while (outer >= 0 && !holds(table, outer, address)) outer = parents[outer] ?? -1;
    parents[i] = outer;
    nested ||= outer >= 0;
    if (i % slice === slice - 1) yield;
  }
  if (nested) return parents;
  release(parents);
  return undefined;
}

/** Index of the last range that does not start after the address; -1 if all do. */
function lastStartingAtOrBefore({ width, count, starts }: Table, words: readonly number[]): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    let w = 0;
    let start = starts[middle * width] ?? 0;
    let word = words[0] ?? 0;
    while (start === word && ++w < width) {
      start = starts[middle * width + w] ?? 0;
      word = words[w] ?? 0;
    }
    if (start > word) high = middle;
    else low = middle + 1;
  }
  return low - 1;
}

function holds({ width, starts, prefixes }: Table, entry: number, words: readonly number[]): boolean {
  let bits = prefixes[entry] ?? 0;
  for (let w = 0; w < width && bits > 0; w++, bits -= 32) {
    const difference = (starts[entry * width + w] ?? 0) ^ (words[w] ?? 0);
    if (bits >= 32 ? difference !== 0 : difference >>> (32 - bits) !== 0) return false;
  }
  return true;
}

function rangeAt({ width, starts, prefixes }: Table, entry: number, family: 4 | 6): Range {
  const at = entry * width;
  const word = (w: number) => starts[at + w] ?? 0;
  const words = width === 1 ? [word(0)] : [word(0), word(1), word(2), word(3)];
  return { address: { family, words }, prefix: prefixes[entry] ?? 0 };
}
