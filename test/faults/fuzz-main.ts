import { fuzzManifests } from './fuzz.ts';

/** `make fuzz N=50000 SEED=1`: more cases than the test suite runs, and any run again. */
const cases = Number(process.env['N'] ?? 50_000);
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
if (!Number.isInteger(cases) || cases < 1 || !Number.isInteger(seed)) {
  process.stderr.write('fuzz: N and SEED must be whole numbers, such as N=50000 SEED=7\n');
  process.exit(2);
}
process.stdout.write(`mangled manifests: ${cases} cases, SEED=${seed}\n`);
const result = await fuzzManifests(seed, cases, (done) => process.stdout.write(`${done} cases\n`));
process.stdout.write(`${result.refused} refused, ${result.compiled} compiled\n`);
for (const failure of result.failures) process.stdout.write(`${JSON.stringify(failure, undefined, 2)}\n`);
process.exitCode = result.failures.length === 0 ? 0 : 1;
