// What .ci/run counts and says, with a make and an npx that do as they are told.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root } from '../charts/helm.ts';
import { runCommand } from '../cluster/run-command.ts';

let folder: string;

const MAKE = `#!/bin/sh
case $1 in
check) exit "$CHECK" ;;
test) echo "$TEST" >"$POSTERN_TEST_SUMMARY"; exit "$TEST_CODE" ;;
e2e) [ -z "$E2E" ] || echo "$E2E" >"$POSTERN_TEST_SUMMARY"; exit "$E2E_CODE" ;;
esac`;
const NPX = `#!/bin/sh
echo "installing"
[ -z "$OBSTACLE" ] || { echo "$OBSTACLE"; exit 1; }`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-ci-'));
  for (const [name, text] of Object.entries({ make: MAKE, npx: NPX })) {
    await writeFile(join(folder, name), text);
    await chmod(join(folder, name), 0o755);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs it in a world where everything passes but what is said. @returns exit code, the line about the node, the last line */
async function run(world: Readonly<Record<string, string>>): Promise<[number | null, string, string]> {
  const all = {
    CHECK: '0',
    TEST: '30 0',
    TEST_CODE: '0',
    E2E: '12 0',
    E2E_CODE: '0',
    OBSTACLE: '',
    ...world,
  };
  const variables = Object.entries(all).map(([name, value]) => `${name}=${value}`);
  const path = `PATH=${folder}${delimiter}${process.env['PATH']}`;
  const { code, stdout } = await runCommand('env', [path, ...variables, join(root, '.ci/run')]);
  const lines = stdout.trim().split('\n');
  return [code, lines.find((line) => line.startsWith('postern: make e2e ')) ?? '', lines.at(-1) ?? ''];
}

const finished = expect.stringMatching(/^postern: make e2e finished after \d+ s$/);

test.each([
  ['everything passes: the sum of both', {}, [0, finished, '42 passed, 0 failed']],
  [
    'a machine that can run no node: said, and not counted',
    { OBSTACLE: 'no root' },
    [0, 'postern: make e2e NOT RUN: no root', '30 passed, 0 failed'],
  ],
  [
    'failed tests of both',
    { TEST: '28 2', TEST_CODE: '1', E2E: '9 3', E2E_CODE: '1' },
    [1, finished, '37 passed, 5 failed'],
  ],
  ['a cluster that does not start', { E2E: '', E2E_CODE: '1' }, [1, finished, '30 passed, 1 failed']],
  ['a runner that fails although its tests pass', { TEST_CODE: '1' }, [1, finished, '42 passed, 1 failed']],
  ['no test at all', { E2E: '0 0' }, [1, finished, '30 passed, 1 failed']],
  ['a failed check', { CHECK: '1' }, [1, finished, '42 passed, 1 failed']],
])('.ci/run: %s', async (_, world, expected) => {
  expect(await run(world)).toEqual(expected);
});
