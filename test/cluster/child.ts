// Servers started by tests: ready or a clear error, and never left behind, however the test runner ends.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Runs the server in a process group of its own and ties it to the pipe on standard input: when that pipe closes, by
 * stop() or because the runner died (even of SIGKILL), the group is ended. TERM first, and KILL after the grace time.
 */
const SUPERVISOR = `
grace=$1; shift
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
{
  cat <&3
  if [ "$grace" != 0 ]; then
    kill -TERM "$server"
    while [ "$grace" -gt 0 ] && kill -0 "$server"; do sleep 0.1; grace=$((grace - 1)); done
  fi
  kill -KILL 0
} >/dev/null 2>&1 &
exec 3<&-
wait "$server"
`;

const LOG_TAIL_BYTES = 4000;
const READY_POLL_MS = 25;

export interface ChildOptions {
  /** Name in error messages; the command by default. */
  readonly name?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Time between SIGTERM and SIGKILL in tenths of a second; 0 kills at once, for servers whose data is thrown away. */
  readonly graceTenths?: number;
  /** Told of each line that it writes. */
  readonly onLine?: (line: string) => void;
}

export interface Child {
  readonly name: string;
  /** `true` once the server has ended. */
  readonly exited: boolean;
  /** The end of what it wrote to stdout and stderr. */
  log(): string;
  /**
   * Waits until `isReady` says true, asking every 25 ms.
   *
   * @throws Error with the end of the server's log, if it ends before or `timeoutMs` pass.
   */
  ready(isReady: () => Promise<boolean>, timeoutMs: number): Promise<void>;
  /** Sends a signal to everything in its process group. */
  signal(name: NodeJS.Signals): void;
  /** Ends the server and everything in its process group. May be called twice. */
  stop(): Promise<void>;
}

/** Starts a server that cannot outlive this process. */
export function startChild(command: string, args: readonly string[], options: ChildOptions = {}): Child {
  const name = options.name ?? command;
  const supervisor: ChildProcessByStdio<Writable, Readable, Readable> = spawn(
    '/bin/sh',
    ['-c', SUPERVISOR, 'supervisor', String(options.graceTenths ?? 0), command, ...args],
    {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  );
  let tail = '';
  for (const stream of [supervisor.stdout, supervisor.stderr]) {
    if (options.onLine !== undefined) createInterface({ input: stream }).on('line', options.onLine);
  }
  let exited = false;
  const keepTail = (chunk: Buffer) => {
    tail = (tail + chunk.toString()).slice(-LOG_TAIL_BYTES);
  };
  supervisor.stdout.on('data', keepTail);
  supervisor.stderr.on('data', keepTail);
  // A write after the supervisor's end is nobody's business; its exit is what counts.
  supervisor.stdin.on('error', () => undefined);
  const ended = once(supervisor, 'exit').then(() => {
    exited = true;
    supervisor.stdin.destroy();
  });

  return {
    name,
    get exited() {
      return exited;
    },
    log: () => tail,
    async ready(isReady, timeoutMs) {
      const deadline = performance.now() + timeoutMs;
      for (;;) {
        if (exited) throw new Error(`${name} ended before it was ready. The end of its log:\n${tail}`);
        if (await isReady().catch(() => false)) return;
        if (performance.now() > deadline) {
          throw new Error(`${name} was not ready after ${timeoutMs} ms. The end of its log:\n${tail}`);
        }
        await delay(READY_POLL_MS);
      }
    },
    signal(signal) {
      if (!exited && supervisor.pid !== undefined) process.kill(-supervisor.pid, signal);
    },
    async stop() {
      // Whoever was stopped by a signal does not see that the pipe closes.
      this.signal('SIGCONT');
      supervisor.stdin.end();
      await ended;
    },
  };
}
