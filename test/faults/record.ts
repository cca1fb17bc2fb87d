import { appendFileSync, mkdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { expect } from 'vitest';
import * as z from 'zod';

/** Folder that `make reliability` collects the records in; without it nothing is recorded. */
export const recordsFolder = 'POSTERN_FAULT_RECORDS';

const root = join(import.meta.dirname, '../..');

export const faultRecord = z.object({
  /** Path in the repository. */
  file: z.string(),
  /** Title of the test, below its `describe`s. */
  test: z.string(),
  injections: z.int().positive(),
});
export type FaultRecord = z.infer<typeof faultRecord>;

/**
 * Notes for docs/reliability.md how many faults the running test has injected, if there is an X id in its title: the last line of the
 * test, or a hook after each. What came of them is for the test runner to say.
 *
 * @throws Error if nothing was injected: then nothing was shown
 */
export function recordFaults(injections: number): void {
  const { currentTestName, testPath } = expect.getState();
  if (currentTestName === undefined || testPath === undefined) throw new Error('no test is running');
  if (!/\bX\d/.test(currentTestName)) return;
  const title = currentTestName.split(' > ').at(-1) ?? '';
  const record = faultRecord.parse({ file: relative(root, testPath), test: title, injections });
  const folder = process.env[recordsFolder];
  if (folder === undefined) return;
  mkdirSync(folder, { recursive: true });
  appendFileSync(join(folder, `${process.pid}.jsonl`), `${JSON.stringify(record)}\n`);
}
