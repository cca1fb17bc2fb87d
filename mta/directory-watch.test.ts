import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DirectoryWatch, nextLookMs } from './directory-watch.ts';

let root = '';
let directory = '';
let problem: string | undefined;
let looks = 0;
let told: string[] = [];
/** The timer that runs, if any. */
let waiting: { run: () => void; ms: number } | undefined;
let watch: DirectoryWatch;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'postern-watch-'));
  directory = join(root, 'policy');
  await mkdir(directory);
  problem = undefined;
  looks = 0;
  told = [];
  waiting = undefined;
  watch = new DirectoryWatch({
    directory,
    look: async () => {
      looks += 1;
      if (problem !== undefined) throw new Error(problem);
    },
    failed: (message) => told.push(message),
    after: (run, ms) => {
      waiting = { run, ms };
      return () => {
        waiting = undefined;
      };
    },
  });
});
afterEach(async () => {
  watch.stop();
  await rm(root, { recursive: true, force: true });
});

/** Lets the running timer end. @returns how long it was to run, milliseconds. */
async function timeGoesBy(): Promise<number> {
  const { run, ms } = waiting ?? { run: () => undefined, ms: Number.NaN };
  run();
  await watch.check();
  return ms;
}

/** Puts a file in place as kubelet swaps its link, and waits for the look that follows. */
async function change(): Promise<void> {
  const before = looks;
  await writeFile(join(directory, '..data_tmp'), String(looks));
  await rename(join(directory, '..data_tmp'), join(directory, '..data'));
  await vi.waitFor(() => expect(looks).toBeGreaterThan(before), { timeout: 10_000 });
  await watch.check();
}

test('X9: what cannot be used is looked at ever more seldom, and at once when something changes', async () => {
  problem = 'half of it is missing';
  await watch.start();
  const waits = [await timeGoesBy()];
  while (waits.length < 8) waits.push(await timeGoesBy());
  expect(waits.slice(1).every((ms, index) => ms > (waits[index] ?? 0) || ms === 30_000)).toBe(true);
  expect(waits[0]).toBe(1_000);
  expect(waits.at(-1)).toBe(30_000);
  expect(told).toEqual(['half of it is missing']);
  expect(watch.problem).toBe('half of it is missing');

  await change();
  expect(waiting?.ms).toBeLessThanOrEqual(4_000);
  problem = undefined;
  await change();
  expect(watch.problem).toBeUndefined();
  expect(waiting?.ms).toBe(30_000);
});

test('each different problem is told once, and told again after it had gone', async () => {
  problem = 'one';
  await watch.start();
  problem = 'two';
  await timeGoesBy();
  problem = undefined;
  await timeGoesBy();
  problem = 'two';
  await timeGoesBy();
  expect(told).toEqual(['one', 'two', 'two']);
});

test('a directory that is taken away and made anew is watched again', async () => {
  await watch.start();
  problem = 'is not there';
  await rm(directory, { recursive: true });
  await vi.waitFor(() => expect(watch.problem).toBe('is not there'), { timeout: 10_000 });
  await watch.check();
  await mkdir(directory);
  problem = undefined;
  await timeGoesBy();
  await change();
  expect(watch.problem).toBeUndefined();
});

test('once stopped it looks no more', async () => {
  await watch.start();
  watch.stop();
  expect(waiting).toBeUndefined();
});

test('milliseconds until the next look', () => {
  expect([0, 1, 2, 3, 6, 5_000].map(nextLookMs)).toEqual([30_000, 1_000, 2_000, 4_000, 30_000, 30_000]);
});
