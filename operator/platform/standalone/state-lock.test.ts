import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockState, noteProcess, waitForProcess } from './state-lock.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-lock-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe('the lock of a state folder', () => {
  it('is refused while a process holds it, which is named', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)'], { stdio: 'ignore' });
    await once(child, 'spawn');
    try {
      await noteProcess(join(directory, 'lock'), child.pid ?? 0);
      await expect(lockState(join(directory, 'lock'))).rejects.toThrow(`in use by process ${child.pid}`);
      await expect(waitForProcess(join(directory, 'lock'), 0)).rejects.toThrow(`process ${child.pid}`);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await waitForProcess(join(directory, 'lock'), 0);
    await (await lockState(join(directory, 'lock')))();
    expect(await readdir(directory)).toEqual([]);
  });

  it('left behind by another life of the same process id, or torn, it is taken over', async () => {
    for (const stale of [`${process.ppid} 1\n`, '', 'nonsense']) {
      await writeFile(join(directory, 'lock'), stale);
      await (await lockState(join(directory, 'lock')))();
    }
    expect(await readdir(directory)).toEqual([]);
  });
});
