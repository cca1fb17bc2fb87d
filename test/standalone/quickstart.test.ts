import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

const program = fileURLToPath(new URL('../../examples/quickstart/run.ts', import.meta.url));
let state = '';
beforeAll(async () => {
  state = await mkdtemp(join(tmpdir(), 'postern-quickstart-'));
});
afterAll(async () => {
  await rm(state, { recursive: true, force: true });
});

it('the quickstart: every sample mail ends as the manifests say, and explain agrees', async () => {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program], {
    env: { ...process.env, STATE: state, KEEP: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  const [code] = await once(child, 'close');
  expect(output).toContain('All 17 verdicts are as the manifests say.');
  expect(output).toContain('What to type next:');
  expect(output).not.toContain('EXPECTED');
  expect(code).toBe(0);
});
