import { runDifferential } from './run.ts';

/** `make differential N=10000 SEED=7`: more cases than the test suite runs, and any run again. */
const cases = Number(process.env['N'] ?? 10_000);
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
if (!Number.isInteger(cases) || cases < 1 || !Number.isInteger(seed)) {
  process.stderr.write('differential: N and SEED must be whole numbers, such as N=10000 SEED=7\n');
  process.exit(2);
}

process.stdout.write(`explain against live SMTP: ${cases} cases, SEED=${seed}\n`);
const result = await runDifferential(seed, cases, (done) => process.stdout.write(`${done} cases\n`));
process.stdout.write(
  `${result.transactions} mails, ${result.recipients} recipients, replies ${JSON.stringify(result.codes)}\n`,
);
for (const disagreement of result.disagreements.slice(0, 10)) {
  process.stdout.write(`${JSON.stringify(disagreement, undefined, 2)}\n`);
}
process.stdout.write(
  result.disagreements.length === 0
    ? 'explain and the wire agree in all of them\n'
    : `${result.disagreements.length} disagreements; run it again with SEED=${seed}\n`,
);
process.exitCode = result.disagreements.length === 0 ? 0 : 1;
