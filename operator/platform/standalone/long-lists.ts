/**
 * Lists of 10,000 addresses, one on a line, are most of what a folder weighs, and the YAML parser spends 100 to 250 ms of CPU time
 * on one. Such a line means the same in every YAML: it is a text. So a long run of them is folded into one item before the parser
 * sees it, and unfolded in what the parser has read.
 */

/** `- 192.0.2.1`, `- "2001:db8::/32" # note`: nothing that YAML could read as anything but a text. */
const addressLine =
  /^( *)- +(["']?)((?:\d{1,3}\.){3}\d{1,3}(?:\/\d{1,3})?|[\dA-Fa-f:]*::[\dA-Fa-f:.]*(?:\/\d{1,3})?)\2(?: +#.*| *)$/;
/** Two names for one value: what is unfolded must be a tree. */
const anchor = /(^|[\s[{,])[&*]\S/;
const mark = 'postern-folded-lines-';
/** Fewer lines are not worth it. */
const shortestRun = 200;

export interface FoldedText {
  /** The text with one line for each run. */
  readonly text: string;
  /** The items of each run. */
  readonly runs: readonly (readonly string[])[];
}

/** Folds long runs of address lines; undefined if there are none, or if what they mean cannot be told from the lines alone. */
export function foldLists(text: string): FoldedText | undefined {
  const kept: string[] = [];
  const runs: string[][] = [];
  let run: { readonly indent: string; readonly lines: string[]; readonly items: string[] } | undefined;
  const endRun = (): void => {
    if (run === undefined) return;
    if (run.lines.length < shortestRun) kept.push(...run.lines);
    else {
      kept.push(`${run.indent}- ${mark}${runs.length}`);
      runs.push(run.items);
    }
    run = undefined;
  };
  for (const line of text.split('\n')) {
    const [, indent = '', , item = ''] = addressLine.exec(line) ?? [];
    // A colon at the end would make it the key of a mapping.
    if (item === '' || item.endsWith(':')) {
      endRun();
      kept.push(line);
      continue;
    }
    if (run?.indent !== indent) endRun();
    run ??= { indent, lines: [], items: [] };
    run.lines.push(line);
    run.items.push(item);
  }
  endRun();
  const rest = kept.join('\n');
  if (runs.length === 0 || text.includes(mark) || anchor.test(rest)) return undefined;
  return { text: rest, runs };
}

/**
 * Puts the runs back where the parser found them.
 *
 * @param values what was read of a folded text
 * @returns undefined if a run turned out to be no part of a list, but of a longer text, say
 */
export function unfoldLists(
  values: readonly unknown[],
  runs: FoldedText['runs'],
): readonly unknown[] | undefined {
  const byName = new Map<unknown, readonly string[]>(runs.map((items, index) => [`${mark}${index}`, items]));
  let found = 0;
  const unfold = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (!Array.isArray(value)) {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, unfold(inner)]));
    }
    const written: readonly unknown[] = value;
    return written.flatMap((item): readonly unknown[] => {
      const items = byName.get(item);
      if (items === undefined) return [unfold(item)];
      found += 1;
      return items;
    });
  };
  const unfolded = values.map(unfold);
  return found === runs.length ? unfolded : undefined;
}
