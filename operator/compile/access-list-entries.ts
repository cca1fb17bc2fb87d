import { createHash } from 'node:crypto';
import type { RangeList } from '../../bundle/range-list.ts';
import { formatRange, parseRange, type Range } from '../../policy/ip/range.ts';
import { type IpAccessList, limits } from '../api/index.ts';
import { type InvalidEntry, readListText } from './list-text.ts';
import { sourceOf } from './objects.ts';
import { coverOf, type RangeCover } from './range-cover.ts';
import { type References, type RefProblem, readConfigMapKey } from './references.ts';

/** One IpAccessList with all its sources read. Depends on nothing but the object and the texts it names. */
export interface ListEntries {
  readonly list: RangeList;
  /** Valid entries as written; a range `a-b` is one. */
  readonly entryCount: number;
  readonly duplicateCount: number;
  /** Entries that no other one of the same list contains. */
  readonly effectiveCount: number;
  /** Why nothing of the list can be used, if it is over a limit by itself. */
  readonly overLimit?: string;
  readonly invalid: readonly InvalidEntry[];
  readonly problems: readonly RefProblem[];
  readonly sourceHash: string;
  /** First entry wider than /24 or /48, if any. */
  readonly broad?: string;
}

/** Wider allow entries are likely to hold strangers (A9). */
const broadPrefix = { 4: 24, 6: 48 } as const;

interface Remembered {
  readonly texts: readonly (string | undefined)[];
  readonly source: string;
  readonly entries: ListEntries;
}

const remembered = new WeakMap<IpAccessList['spec'], Remembered>();

/**
 * Reads all entries of a list. Reading 10,000 of them costs tens of milliseconds, so the result is kept as long as the spec
 * object and used again while the texts of its ConfigMaps are the same.
 */
export function readEntries(object: IpAccessList, references: References): ListEntries {
  const sources = object.spec.entriesFrom.map(({ configMapKeyRef }, index) =>
    readConfigMapKey(configMapKeyRef, `spec.entriesFrom[${index}]`, references),
  );
  const texts = sources.map((source) => (source.ok ? source.value : source.problem.message));
  const source = JSON.stringify(sourceOf(object));
  const known = remembered.get(object.spec);
  if (known !== undefined && known.source === source && sameTexts(known.texts, texts)) return known.entries;
  const problems = sources.flatMap((one) => (one.ok ? [] : one.problem));
  const entries = collect(
    object,
    sources.map((one) => (one.ok ? one.value : undefined)),
    problems,
  );
  remembered.set(object.spec, { texts, source, entries });
  return entries;
}

/** The parsed form of each range of a compiled list. */
export function parsedRanges(list: RangeList): Range[] {
  return list.ranges.flatMap((text) => parseRange(text) ?? []);
}

const covers = new WeakMap<RangeList, RangeCover>();

/** Which addresses a list will always have: what expires does not count. Made when first asked for, and kept like the list. */
export function coverOfList(list: RangeList): RangeCover {
  const known = covers.get(list);
  if (known !== undefined) return known;
  const expiring = Object.keys(list.expires).length > 0;
  const lasting = expiring ? list.ranges.filter((text) => !Object.hasOwn(list.expires, text)) : list.ranges;
  const cover = coverOf(lasting.flatMap((text) => parseRange(text) ?? []));
  covers.set(list, cover);
  return cover;
}

function collect(
  object: IpAccessList,
  texts: readonly (string | undefined)[],
  missing: readonly RefProblem[],
): ListEntries {
  const { spec } = object;
  const collected = new Collector();
  for (const address of spec.addresses) collected.add(address, undefined);
  for (const { address, expireTime } of spec.entries) {
    collected.add(address, expireTime === undefined ? undefined : Math.ceil(Date.parse(expireTime) / 1000));
  }
  if (spec.text !== undefined) collected.addText(spec.text, 'text');
  for (const [index, text] of texts.entries()) {
    const reference = spec.entriesFrom[index]?.configMapKeyRef;
    if (text !== undefined) collected.addText(text, `ConfigMap ${reference?.name} key ${reference?.key}`);
  }
  const { ranges, expires } = collected;
  const list: RangeList = {
    key: object.metadata.name,
    source: sourceOf(object),
    ranges: [...ranges.keys()].sort(),
    expires: Object.fromEntries(expires),
  };
  const { invalid, overLimit } = collected;
  const problems = invalid.length === 0 ? missing : [...missing, invalidProblem(invalid)];
  const broad = list.ranges.find((text) => isBroad(ranges.get(text)));
  return {
    list,
    entryCount: collected.entryCount,
    duplicateCount: collected.duplicateCount,
    effectiveCount: coverOf(ranges.values()).size,
    invalid: invalid.slice(0, limits.invalidEntries),
    problems,
    sourceHash: hashOf([spec.addresses, spec.entries, spec.text ?? null, texts.map((text) => text ?? null)]),
    ...(overLimit === undefined ? {} : { overLimit }),
    ...(broad === undefined ? {} : { broad }),
  };
}

/** Gathers entries from all forms, each range once. */
class Collector {
  readonly ranges = new Map<string, Range>();
  /** Text of a range -> seconds since the epoch. */
  readonly expires = new Map<string, number>();
  readonly invalid: InvalidEntry[] = [];
  entryCount = 0;
  duplicateCount = 0;
  overLimit: string | undefined;

  /** An entry of the API, which is valid by its schema. @param expires seconds since the epoch */
  add(text: string, expires: number | undefined): void {
    const range = parseRange(text);
    if (range !== undefined) this.#count([[formatRange(range), range]], expires);
  }

  addText(text: string, source: string): void {
    if (this.overLimit !== undefined) return;
    const read = readListText(text, source, limits.accessEntries);
    this.invalid.push(...read.invalid);
    for (const entry of read.entries) this.#count(entry.flatMap(pairOf), undefined);
    if (read.overLimit !== undefined) this.overLimit = `${source}: ${read.overLimit}`;
    else if (this.entryCount > limits.accessEntries)
      this.overLimit = `more than ${limits.accessEntries} entries`;
  }

  /** Of two equal entries the one that acts longer counts. */
  #count(entry: readonly (readonly [string, Range])[], expires: number | undefined): void {
    this.entryCount += 1;
    if (entry.every(([text]) => this.ranges.has(text))) this.duplicateCount += 1;
    for (const [text, range] of entry) {
      const known = this.ranges.has(text);
      const until = this.expires.get(text);
      if (expires === undefined) this.expires.delete(text);
      else if (!known || (until !== undefined && until < expires)) this.expires.set(text, expires);
      this.ranges.set(text, range);
    }
  }
}

function pairOf(text: string): [string, Range][] {
  const range = parseRange(text);
  return range === undefined ? [] : [[text, range]];
}

function isBroad(range: Range | undefined): boolean {
  return range !== undefined && range.prefix < broadPrefix[range.address.family];
}

function invalidProblem(invalid: readonly InvalidEntry[]): RefProblem {
  const first = invalid
    .slice(0, 3)
    .map(({ source, line, value, reason }) => `${source} line ${line}: ${value} ${reason}`);
  const rest =
    invalid.length > first.length ? ` and ${invalid.length - first.length} more, see status.invalid` : '';
  return { reason: 'InvalidSourceData', message: `cannot be read: ${first.join('; ')}${rest}` };
}

function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

function sameTexts(left: readonly unknown[], right: readonly unknown[]): boolean {
  return left.length === right.length && left.every((text, index) => text === right[index]);
}
