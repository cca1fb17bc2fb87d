// Runs every suite and writes `<passed> <failed>` to POSTERN_TEST_SUMMARY for .ci/run. `make test` is this file.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';

const report = z.object({ numPassedTests: z.int(), numFailedTests: z.int(), numPendingTests: z.int() });

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
