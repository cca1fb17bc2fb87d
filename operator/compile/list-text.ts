import { expandRange, formatRange, rangeFault } from '../../policy/ip/range.ts';

/** An entry that cannot be read, as `status.invalid` shows it. */
export interface InvalidEntry {
  readonly source: string;
  readonly line: number;
  readonly value: string;
  readonly reason: string;
}

/** A free text of addresses, read. */
export interface ListText {
  /** One item per word: the CIDRs it stands for (a range `a-b` may need many), canonical. */
  readonly entries: readonly (readonly string[])[];
  readonly invalid: readonly InvalidEntry[];
  /** Why the rest was not read: too many entries, or too many CIDRs that its ranges stand for. */
  readonly overLimit?: string;
}

/** CIDRs that the ranges of one text may stand for together: far more than anybody writes, far less than hurts. */
const maxRanges = 100_000;

const maxValueLength = 128;

/**
 * Reads addresses as people paste them (A4): words separated by commas and white space, `#` begins a note up to the end of
 * the line. Besides addresses and CIDRs, ranges `a-b` and IPv4-mapped forms are taken; a word that is none of these is
 * reported and hides no other.
 *
 * @param source where the text stands, for the report
 * @param most entries (and words that are none) after which to stop: nobody needs the rest of a list over its limit
 */
export function readListText(text: string, source: string, most: number): ListText {
  const entries: string[][] = [];
  const invalid: InvalidEntry[] = [];
  let rangeCount = 0;
  for (const [index, line] of text.split(/\r\n|\r|\n/).entries()) {
    const note = line.indexOf('#');
    const words = (note < 0 ? line : line.slice(0, note)).split(/[\s,]+/);
    for (const word of words) {
      if (word === '') continue;
      const ranges = expandRange(word);
      if (ranges === undefined) {
        if (invalid.length === most)
          return { entries, invalid, overLimit: `more than ${most} words are no entries` };
        invalid.push({ source, line: index + 1, value: shown(word), reason: faultOf(word) });
        continue;
      }
      rangeCount += ranges.length;
      if (rangeCount > maxRanges)
        return { entries, invalid, overLimit: `ranges stand for over ${maxRanges} CIDRs` };
      if (entries.length === most) return { entries, invalid, overLimit: `more than ${most} entries` };
      entries.push(ranges.map(formatRange));
    }
  }
  return { entries, invalid };
}

/** A word as it may stand in a status: short, and without control characters that a terminal would obey. */
export function shown(word: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not come through
  const safe = word.toWellFormed().replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd');
  const characters = [...safe];
  return characters.length <= maxValueLength
    ? safe
    : `${characters.slice(0, maxValueLength - 3).join('')}...`;
}

function faultOf(word: string): string {
  if (word.includes('-')) return 'is no range of two addresses of one family, lower first';
  return rangeFault(word) ?? 'is no IP address';
}
