// Runs every suite and writes `<passed> <failed>` to POSTERN_TEST_SUMMARY for .ci/run. `make test` is this file.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';

const report = z.object({ numPassedTests: z.int(), numFailedTests: z.int(), numPendingTests: z.int() });

/** Milliseconds that the runner has to end after it has written its report. */
const lingerMs = 60_000;

const folder = mkdtempSync(join(tmpdir(), 'postern-test-'));
const reportFile = join(folder, 'report.json');
const runner = spawn(
  process.execPath,
  [
    join(import.meta.dirname, '../node_modules/vitest/vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${reportFile}`,
    ...process.argv.slice(2),
  ],
  { stdio: ['ignore', 'inherit', 'inherit'] },
);

// A test that fails can leave a process behind that holds a pipe of its worker: the report is written, and vitest waits for ever.
const watch = setInterval(() => {
  if (!existsSync(reportFile)) return;
  clearInterval(watch);
  setTimeout(() => {
    console.error(`postern: the tests have ended and their runner has not: a test left a process behind`);
    runner.kill('SIGKILL');
  }, lingerMs).unref();
}, 1_000);
watch.unref();

runner.on('exit', (code) => {
  const counted = readReport();
  rmSync(folder, { recursive: true, force: true });
  const summaryFile = process.env['POSTERN_TEST_SUMMARY'];
  if (summaryFile !== undefined && counted !== undefined) {
    writeFileSync(summaryFile, `${counted.numPassedTests} ${counted.numFailedTests}\n`);
  }
  if (counted !== undefined && counted.numPendingTests > 0) {
    console.error(`postern: ${counted.numPendingTests} tests were skipped; every test must run`);
    process.exit(1);
  }
  process.exit(code ?? 1);
});

function readReport(): z.infer<typeof report> | undefined {
  try {
    return report.parse(JSON.parse(readFileSync(reportFile, 'utf8')));
  } catch (error) {
    console.error(`postern: no test report: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}
