import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { MtaState } from '../../bundle/state.ts';
import { fetchState } from '../../operator/platform/standalone/pod-poller.ts';

const program = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
/** Longest wait for anything, milliseconds: the machine may be busy with other tests. */
const patienceMs = 60_000;

export interface StandaloneSetup {
  /** Where state goes; removed by the caller. */
  readonly directory: string;
  readonly folder: string;
  /** Files of the folder, by name. */
  readonly files: Readonly<Record<string, string>>;
  readonly proxyFrom?: readonly string[];
  /** Take submissions too. */
  readonly submission?: true;
}

/** A running `postern standalone`, as a user starts it. */
export interface RunningStandalone {
  readonly process: ChildProcess;
  readonly state: string;
  readonly smtp: { readonly host: string; readonly port: number };
  /** Undefined unless the setup asks for it. */
  readonly submission: { readonly host: string; readonly port: number } | undefined;
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
  const { directory, folder, files, proxyFrom = [] } = setup;
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
    setup.submission ? free : 'off',
    '--submissions',
    'off',
    '--http',
    free,
    // Nobody listens there: no test asks the name servers of the machine about senders.
    '--resolver',
    '127.0.0.1:9',
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
  const listenerOf = (name: string) => {
    const [host, port] = addresses.get(name)?.split(':') ?? [];
    return host === undefined ? undefined : { host, port: Number(port) };
  };
  return {
    process: child,
    state,
    smtp: listenerOf('smtp') ?? { host: '', port: 0 },
    submission: listenerOf('submission'),
    said: () => output,
    mtaState: async () =>
      fetchState(
        addresses.get('http') ?? '',
        (await readFile(join(state, 'mta/default/token'), 'utf8')).trim(),
      ),
    eventually: (what, look) => eventually(what, look, () => output),
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      child.kill('SIGTERM');
      const [code] = await once(child, 'exit');
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
