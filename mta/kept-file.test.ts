import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import * as z from 'zod';
import { KeptFile, readKept } from './kept-file.ts';

let directory: string;
let problems: string[];
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-kept-'));
  file = join(directory, 'kept.json');
  problems = [];
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const problem = (text: string) => void problems.push(text);
const read = () => readKept({ file, problem }, z.object({ count: z.int() }));

test("what a killed process left under the temporary name is in nobody's way", async () => {
  await writeFile(`${file}.tmp`, '{"count": 1');
  const kept = new KeptFile({ file, everyMs: 1, content: () => ({ text: '{"count": 2}' }), problem });
  kept.changed();
  await kept.close();
  expect(await read()).toEqual({ count: 2 });
  expect(await readdir(directory)).toEqual(['kept.json']);
  expect(problems).toEqual([]);
});

test('changes between two writes are written together, at the latest at the end', async () => {
  let count = 0;
  const kept = vi.fn<() => void>();
  const content = () => ({ text: JSON.stringify({ count }), kept });
  const keeper = new KeptFile({ file, everyMs: 3_600_000, content, problem });
  for (; count < 5; count += 1) keeper.changed();
  await vi.waitFor(() => expect(kept).toHaveBeenCalledTimes(1));
  for (; count < 9; count += 1) keeper.changed();
  await keeper.close();
  expect(kept).toHaveBeenCalledTimes(2);
  expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ count: 9 });
});

test('no file is no problem; one with anything else in it is named, and not used', async () => {
  expect(await read()).toBeUndefined();
  expect(problems).toEqual([]);
  for (const text of ['', '{"count": 1', '{"count": "1"}', '[]', ' '.repeat(8_388_609)]) {
    await writeFile(file, text);
    expect(await read()).toBeUndefined();
  }
  expect(problems).toEqual(Array(5).fill(expect.stringContaining(`${file}: `)));
  expect(problems.at(-1)).toContain('8388609 octets');
});
