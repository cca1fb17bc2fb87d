import { createTwoFilesPatch } from 'diff';

/** How one file differs, as a unified diff. */
export interface FileDiff {
  readonly file: string;
  readonly patch: string;
}

/** Lines of context around a change: enough to see which domain it is in. */
const context = 4;

/** @returns one entry for each file that differs, is new or is gone, in the order of their names. */
export function fileDiffs(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): readonly FileDiff[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted();
  return names.flatMap((file) => {
    const [left, right] = [before[file] ?? '', after[file] ?? ''];
    if (left === right) return [];
    const patch = createTwoFilesPatch(
      `running/${file}`,
      `rendered/${file}`,
      left,
      right,
      undefined,
      undefined,
      { context },
    );
    return [{ file, patch }];
  });
}
