import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** Clock ticks of /proc/<pid>/stat. */
const ticksPerSecond = 100;

/**
 * CPU seconds, user and system, of a process with all its threads and descendants, also those that have ended. What lives is
 * counted by the scheduler in nanoseconds, since clock ticks would be several percent of a short round.
 */
export async function cpuSeconds(pid: number): Promise<number> {
  const parents = new Map<number, number>();
  for (const name of await readdir('/proc')) {
    const parent = /^\d+$/.test(name) ? (await statOf(name))?.parent : undefined;
    if (parent !== undefined) parents.set(Number(name), parent);
  }
  const family = new Set([pid]);
  // As often as it finds somebody: a child may stand before its parent.
  for (let before = 0; before < family.size; ) {
    before = family.size;
    for (const [child, parent] of parents) if (family.has(parent)) family.add(child);
  }
  let seconds = 0;
  for (const member of family) seconds += await ownSeconds(member);
  return seconds;
}

/** Of its living threads, and of the children that it has seen end; 0 if it has ended meanwhile: its parent has the sum then. */
async function ownSeconds(pid: number): Promise<number> {
  let nanoseconds = 0;
  for (const task of await readdir(`/proc/${pid}/task`).catch(() => [])) {
    const text = await readFile(`/proc/${pid}/task/${task}/schedstat`, 'utf8').catch(() => '0');
    nanoseconds += Number(text.split(' ')[0]);
  }
  return nanoseconds / 1e9 + ((await statOf(`${pid}`))?.endedChildren ?? 0);
}

async function statOf(pid: string): Promise<{ parent: number; endedChildren: number } | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (stat === undefined) return undefined;
  // The name in parentheses may hold spaces; ppid, cutime and cstime are the 4th, 16th and 17th field.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const endedChildren = (Number(fields[13]) + Number(fields[14])) / ticksPerSecond;
  return { parent: Number(fields[1]), endedChildren };
}

/** Milliseconds over which a process at rest takes next to no CPU time, and how long to wait for that at most. */
const restMs = 100;
const restWithinMs = 10_000;

/**
 * Waits until a process and its descendants have nothing to do: what an MTA still tidies up after a round would slow down the round of
 * the next one. @throws Error if it goes on working.
 */
export async function atRest(pid: number): Promise<void> {
  const end = performance.now() + restWithinMs;
  for (let before = Number.NEGATIVE_INFINITY; ; ) {
    const seconds = await cpuSeconds(pid);
    // A hundredth of the time.
    if (seconds - before < restMs / 1000 / 100) return;
    if (performance.now() > end)
      throw new Error(`process ${pid} still works ${restWithinMs} ms after its round`);
    before = seconds;
    await delay(restMs);
  }
}

/** Milliseconds of CPU time that this thread has taken: the clock on the wall would count the other programs of the machine. */
export function threadMilliseconds(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/**
 * Messages that an MTA passes on before its rounds count. Node.js compiles what runs often while it runs: of the first thousand a
 * message costs twice what it costs from the fourth thousand on, and a mail server runs for weeks.
 */
export const warmUpMessages = 4_000;
