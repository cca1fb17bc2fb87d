// Prints the figures of docs/performance.md, each as measured in this run: `make bench`, `make bench ONLY=Q1,Q3`.
import { parseArgs } from 'node:util';
import { run as runChange } from './change.ts';
import { run as runCompile } from './compile.ts';
import { run as runConnection } from './connection.ts';
import { run as runIp } from './ip.ts';
import { run as runJunkPatterns } from './junk-patterns.ts';
import { run as runLoad } from './load.ts';
import { run as runMemory } from './memory.ts';
import { run as runOperator } from './operator.ts';
import { run as runRelay } from './relay.ts';
import type { BenchResult } from './result.ts';
import { run as runSignedRelay } from './signed-relay.ts';
import { run as runSigning } from './signing.ts';

/** By the figures that each measures. */
const benches = {
  Q1: runIp,
  Q2: runConnection,
  Q3: runLoad,
  Q4: runSigning,
  Q5: runSignedRelay,
  Q6: runRelay,
  'Q7,Q8': runChange,
  'Q9,Q10': runOperator,
  Q11: runCompile,
  Q12: runJunkPatterns,
  Q13: runMemory,
};

const { values } = parseArgs({
  options: { only: { type: 'string' }, output: { type: 'string', short: 'o' } },
});
const wanted = values.only?.split(',');
const results: BenchResult[] = [];
for (const [ids, run] of Object.entries(benches)) {
  if (wanted !== undefined && !ids.split(',').some((id) => wanted.includes(id))) continue;
  console.error(`measuring ${ids} ...`);
  results.push(...(await run()));
}
if (values.output === 'json') console.log(JSON.stringify(results, null, 2));
else console.table(results);
