import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

export interface MtaProcessOptions {
  /** Arguments of Node.js, for the addresses to listen on; called again at every start. */
  readonly command: (listen: ListenAddresses) => readonly string[];
  /** Addresses asked for, port 0 for any free one. After the first start the ports that were given are asked for again. */
  readonly listen: ListenAddresses;
  /** One line of the child's output. */
  readonly log: (line: string) => void;
  /** A child was started; it may not serve yet. */
  readonly started: (pid: number) => void;
  /** Told whenever the child begins to serve, and when it is gone. */
  readonly changed: (state: MtaProcessState) => void;
  /** Milliseconds that a child has for finishing its sessions after SIGTERM, before it is killed. */
  readonly drainMs?: number;
  /** Milliseconds before the first restart of a child that died; doubled at each death up to `maxBackoffMs`. */
  readonly minBackoffMs?: number;
  readonly maxBackoffMs?: number;
}

/** `host:port` by listener name: `smtp`, `submission`, `submissions`, `http`. */
export type ListenAddresses = Readonly<Record<string, string>>;

export type MtaProcessState =
  | { readonly serving: true; readonly addresses: ListenAddresses; readonly pid: number }
  | { readonly serving: false; readonly problem: string };

/** A child that has served this long did not die of what it was started with: the back-off begins anew. */
const healthyMs = 10_000;

/**
 * Preloaded into the child: when the standalone process is gone, however it went, the child drains and ends, so no orphan keeps the
 * ports and the queue. The channel itself keeps nothing alive.
 */
const watchParent = `data:text/javascript,${encodeURIComponent(
  "process.once('disconnect', () => process.kill(process.pid, 'SIGTERM')); process.channel?.unref();",
)}`;

/**
 * The MTA as a child process: started, started again with back-off when it dies, replaced when its cold configuration changes,
 * and drained at the end. At most one child lives at any time, since two on one queue directory would lose mail.
 */
export class MtaProcess {
  private readonly options: MtaProcessOptions;
  private readonly stopping = new AbortController();
  private child: ChildProcess | undefined;
  private wanted: string | undefined;
  private running: string | undefined;
  private addresses: ListenAddresses;
  private loop: Promise<void> | undefined;

  constructor(options: MtaProcessOptions) {
    this.options = options;
    this.addresses = options.listen;
  }

  /**
   * Sees to it that a child runs that was started with this cold configuration.
   * @param coldHash any text that changes when the child has to be started anew.
   */
  ensure(coldHash: string): void {
    if (this.stopping.signal.aborted) return;
    this.wanted = coldHash;
    this.loop ??= this.supervise();
    if (this.running !== undefined && this.running !== coldHash) this.terminate();
  }

  /** Drains the child and waits for its end. Never throws; may be called twice. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.terminate();
    await this.loop;
  }

  private async supervise(): Promise<void> {
    const { minBackoffMs = 200, maxBackoffMs = 30_000, changed } = this.options;
    let backoffMs = minBackoffMs;
    while (!this.stopping.signal.aborted) {
      const coldHash = this.wanted;
      const started = performance.now();
      const ending = await this.runOnce(coldHash);
      if (this.stopping.signal.aborted) break;
      if (this.wanted !== coldHash) {
        changed({ serving: false, problem: 'the MTA process starts anew with its changed settings' });
        continue;
      }
      if (performance.now() - started > healthyMs) backoffMs = minBackoffMs;
      changed({ serving: false, problem: `the MTA process ${ending}; it starts again in ${backoffMs} ms` });
      await delay(backoffMs, undefined, { signal: this.stopping.signal }).catch(() => undefined);
      backoffMs = Math.min(backoffMs * 2, maxBackoffMs);
    }
    changed({ serving: false, problem: 'the MTA process was stopped' });
  }

  /** Starts one child and waits until it is gone. @returns how it ended, for people. */
  private async runOnce(coldHash: string | undefined): Promise<string> {
    const args = this.options.command(this.addresses);
    const child = spawn(process.execPath, ['--import', watchParent, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Ctrl-C reaches the whole process group of a terminal; the child is to be drained in order instead.
      detached: true,
    });
    this.child = child;
    this.running = coldHash;
    if (child.pid !== undefined) this.options.started(child.pid);
    const { promise: ended, resolve: end } = Promise.withResolvers<string>();
    child.once('error', (error) => end(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) =>
      end(signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`),
    );
    if (child.stderr !== null) createInterface(child.stderr).on('line', this.options.log);
    if (child.stdout !== null) createInterface(child.stdout).on('line', (line) => this.read(child, line));
    const ending = await ended;
    this.child = undefined;
    this.running = undefined;
    return ending;
  }

  private read(child: ChildProcess, line: string): void {
    const addresses = parseReadyLine(line);
    if (addresses === undefined || child.pid === undefined) this.options.log(line);
    else if (child === this.child) {
      this.addresses = { ...this.addresses, ...addresses };
      this.options.changed({ serving: true, addresses, pid: child.pid });
    }
  }

  private terminate(): void {
    const child = this.child;
    if (child === undefined) return;
    child.kill('SIGTERM');
    const killer = setTimeout(() => child.kill('SIGKILL'), this.options.drainMs ?? 40_000);
    child.once('exit', () => clearTimeout(killer));
  }
}

/** Reads `ready smtp=127.0.0.1:2525 http=127.0.0.1:8025`; undefined for any other line. */
export function parseReadyLine(line: string): ListenAddresses | undefined {
  if (!line.startsWith('ready ')) return undefined;
  const pairs = line.slice('ready '.length).trim().split(/\s+/);
  return Object.fromEntries(
    pairs
      .filter((pair) => pair.includes('='))
      .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  );
}
