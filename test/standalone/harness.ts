import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { MtaState } from '../../bundle/state.ts';
import { fetchPodState } from '../../operator/observe/pod-state.ts';

const program = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
/** Longest wait for anything, milliseconds: the machine may be busy with other tests. */
const patienceMs = 60_000;
/** Milliseconds after which a process that was told to end is held to have forgotten it: its MTA has less to drain. */
const stopMs = 45_000;

export interface StandaloneSetup {
  /** Where state goes; removed by the caller. */
  readonly directory: string;
  readonly folder: string;
  /** Files of the folder, by name. */
  readonly files: Readonly<Record<string, string>>;
  readonly proxyFrom?: readonly string[];
  /** Listens for accounts too. */
  readonly submission?: boolean;
  /** Name server, `address:port`; by default nobody: no test asks those of the machine about senders and domains. */
  readonly resolver?: string;
}

/** A running `postern standalone`, as a user starts it. */
export interface RunningStandalone {
  readonly process: ChildProcess;
  readonly state: string;
  readonly smtp: { readonly host: string; readonly port: number };
  /** Port 0 if it does not listen for accounts. */
  readonly submission: { readonly host: string; readonly port: number };
  /** What it said on stderr so far. */
  readonly said: () => string;
  readonly mtaState: () => Promise<MtaState>;
  /** Repeats until something is found. @throws Error with the output of the process if that takes too long. */
  readonly eventually: <T>(what: string, look: () => Promise<T | undefined>) => Promise<T>;
  /** SIGTERM; resolves with the exit code. */
  readonly stop: () => Promise<number | null>;
}

/** Writes the folder, starts the program on free ports and waits until it says that it is ready. */
export async function startStandalone(setup: StandaloneSetup): Promise<RunningStandalone> {
  const { directory, folder, files, proxyFrom = [], submission = false, resolver = '127.0.0.1:9' } = setup;
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  const state = join(directory, 'state');
  const free = '127.0.0.1:0';
  const child = runPostern([
    'standalone',
    '-f',
    folder,
    '--state',
    state,
    '--smtp',
    free,
    '--submission',
    submission ? free : 'off',
    '--submissions',
    'off',
    '--http',
    free,
    '--resolver',
    resolver,
    ...(proxyFrom.length === 0 ? [] : ['--proxy-from', proxyFrom.join(',')]),
  ]);
  let output = '';
  child.stderr?.on('data', (chunk) => {
    output += chunk;
  });
  const ready = Promise.withResolvers<string>();
  if (child.stdout !== null) {
    createInterface(child.stdout).on('line', (line) => {
      if (line.startsWith('ready ')) ready.resolve(line);
      else output += `${line}\n`;
    });
  }
  child.once('exit', (code) => ready.reject(new Error(`postern standalone ended with ${code}:\n${output}`)));
  const timer = setTimeout(
    () => ready.reject(new Error(`postern standalone is not ready:\n${output}`)),
    patienceMs,
  );
  const line = await ready.promise
    .finally(() => clearTimeout(timer))
    .catch(async (error) => {
      child.kill('SIGKILL');
      throw error;
    });
  const addresses = new Map(
    line
      .split(' ')
      .slice(1)
      .map((pair) => pair.split('=', 2))
      .map(([name = '', value = '']) => [name, value]),
  );
  const addressOf = (name: string) => {
    const [host = '', port = ''] = (addresses.get(name) ?? '').split(':');
    return { host, port: Number(port) };
  };
  return {
    process: child,
    state,
    smtp: addressOf('smtp'),
    submission: addressOf('submission'),
    said: () => output,
    mtaState: async () => {
      const token = (await readFile(join(state, 'mta/default/token'), 'utf8')).trim();
      const asked = await fetchPodState(addresses.get('http') ?? '', token, AbortSignal.timeout(10_000));
      if (!asked.ok) throw new Error(asked.problem);
      return asked.value;
    },
    eventually: (what, look) => eventually(what, look, () => output),
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      child.kill('SIGTERM');
      const end = once(child, 'exit', { signal: AbortSignal.timeout(stopMs) });
      const [code] = await end.catch((cause: unknown) => {
        child.kill('SIGKILL');
        throw new Error(`postern standalone has not ended ${stopMs} ms after SIGTERM:\n${output}`, { cause });
      });
      return code;
    },
  };
}

/** Starts bin/postern's program with these arguments. */
export function runPostern(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Repeats `look` until it finds something; what it throws counts as nothing found until the time is over. */
async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined>,
  context = () => '',
): Promise<T> {
  const deadline = Date.now() + patienceMs;
  let last: unknown;
  for (;;) {
    try {
      const found = await look();
      if (found !== undefined) return found;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`did not happen: ${what}\n${context()}`, { cause: last });
    await delay(25);
  }
}

/** Whether a process runs; one that is dead and only waits to be reaped does not. */
export async function isRunning(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') X');
  return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
}
