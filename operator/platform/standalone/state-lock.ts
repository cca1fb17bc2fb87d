import { mkdir, open, readFile, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { replaceFile } from './state-files.ts';

/**
 * Takes a state folder for this process, or says who has it: two processes on one queue directory would lose mail.
 * The lock is a file with the process id, so one left behind by a crash or a reboot is recognised and taken over.
 *
 * @returns a function that gives the lock back.
 * @throws Error if a living process holds it.
 */
export async function lockState(path: string): Promise<() => Promise<void>> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  for (let attempt = 0; attempt < 3; attempt += 1) {
    try {
      const file = await open(path, 'wx', 0o600);
      await file.writeFile(`${process.pid} ${await startOf(process.pid)}\n`);
      await file.close();
      return () => unlink(path).catch(() => undefined);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    const [pid, start] = (await readFile(path, 'utf8').catch(() => '')).trim().split(' ');
    if (await isAlive(Number(pid), start)) {
      throw new Error(
        `the state folder is in use by process ${pid} (${path}): stop that one, or give another folder with --state`,
      );
    }
    await unlink(path).catch(() => undefined);
  }
  throw new Error(`cannot take the lock ${path}: remove the file if no other postern uses the folder`);
}

/** Notes a process in a file, for `waitForProcess` of a later run. */
export async function noteProcess(path: string, pid: number): Promise<void> {
  await replaceFile(path, `${pid} ${await startOf(pid)}\n`);
}

/**
 * Waits until the process is gone that an earlier run noted and left behind.
 * @param deadlineMs longest wait, milliseconds.
 * @throws Error if it still runs then.
 */
export async function waitForProcess(path: string, deadlineMs: number): Promise<void> {
  const [pid, start] = (await readFile(path, 'utf8').catch(() => '')).trim().split(' ');
  const deadline = Date.now() + deadlineMs;
  while (await isAlive(Number(pid), start)) {
    if (Date.now() > deadline) {
      throw new Error(
        `process ${pid} of an earlier run still works on the queue (${path}): wait for its end, or end it`,
      );
    }
    await delay(100);
  }
}

/** Whether the process that was noted still runs; one that only waits to be reaped by its parent does not. */
async function isAlive(pid: number, start: string | undefined): Promise<boolean> {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
  const seen = await startOf(pid);
  return seen !== zombie && seen === start;
}

const zombie = 'zombie';

/**
 * Start time of a process in ticks since boot (proc(5), field 22), which tells it from a later one of the same number; `-` where
 * there is no /proc.
 */
async function startOf(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The second field, the name, may hold blanks and parentheses.
    const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? zombie : (fields[18] ?? '-');
  } catch {
    return '-';
  }
}
