import { setImmediate as nextTurn } from 'node:timers/promises';
import type { PolicyBundle } from '../bundle/policy-bundle.ts';
import { loadPolicy } from '../policy/load.ts';
import { bundleWithLists, randomRanges, randomWords } from './address-lists.ts';
import { threadMilliseconds } from './cpu.ts';
import { type BenchResult, percentile, rounded } from './result.ts';

const entries = 10_000;
const rounds = 15;

/**
 * Q3: time to index a bundle with 20,000 entries, half of them IPv6, and the longest piece of it between two turns of the
 * event loop. CPU time of the thread, which is what a load takes from the mail: the clock on the wall would count the other
 * programs of the machine too. The first load of a process, with its code not compiled yet, stands for itself.
 */
export async function run(): Promise<BenchResult[]> {
  const next = randomWords(3);
  const ranges = () => [...randomRanges(entries / 2, 4, next), ...randomRanges(entries / 2, 6, next)];
  const bundle = bundleWithLists(ranges(), ranges());
  const first = await load(bundle);
  const loads: Load[] = [];
  for (let i = 0; i < rounds; i++) loads.push(await load(bundle));
  const median = (pick: (load: Load) => number) => percentile(loads.map(pick), 0.5);
  const what = `load of ${entries} + ${entries} entries`;
  return [
    ...report(what, { total: median((one) => one.total), longest: median((one) => one.longest) }),
    ...report(`${what}, first of the process`, first),
  ];
}

/** Milliseconds of the thread's CPU time. */
interface Load {
  readonly total: number;
  readonly longest: number;
}

function report(what: string, { total, longest }: Load): BenchResult[] {
  return [
    { id: 'Q3', what, value: rounded(total), unit: 'ms', target: '<= 100' },
    { id: 'Q3', what: `${what}, longest block`, value: rounded(longest), unit: 'ms', target: '<= 20' },
  ];
}

async function load(bundle: PolicyBundle): Promise<Load> {
  const start = threadMilliseconds();
  let turned = start;
  let longest = 0;
  const note = () => {
    longest = Math.max(longest, threadMilliseconds() - turned);
  };
  await loadPolicy(bundle, {
    pause: async () => {
      note();
      await nextTurn();
      turned = threadMilliseconds();
    },
  });
  note();
  return { total: threadMilliseconds() - start, longest };
}
