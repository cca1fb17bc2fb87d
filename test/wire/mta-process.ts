import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { PolicyBundle, SecretBundle } from '../../bundle/policy-bundle.ts';
import { type MtaState, mtaState } from '../../bundle/state.ts';
import { readSegment } from '../../mta/outbound/journal-record.ts';
import { parseMtaSettings } from '../../operator/api/mta-settings.ts';
import { writeVolume } from '../../operator/platform/standalone/atomic-volume.ts';
import { renderHarakaFiles } from '../../operator/render/haraka-files.ts';
import { eventually } from './eventually.ts';
import { policyFiles } from './policy-files.ts';
import { SmtpClient } from './smtp-client.ts';

export interface MtaTestOptions {
  /** Absent: the policy directory is empty at the start. */
  readonly bundle?: PolicyBundle;
  readonly secrets?: SecretBundle;
  /** Fields of mta.yaml over the defaults. */
  readonly settings?: Record<string, unknown>;
  /** Certificate and key in PEM; `later`: the directory for them is empty at the start. */
  readonly certificate?: { cert: string; key: string } | 'later';
  /** More arguments, such as `--proxy-from 127.0.0.1`. */
  readonly args?: readonly string[];
  /** Another program than mta/main.ts, with the same arguments. */
  readonly main?: string;
  /** Port of the sinks that stand for mail servers of others; given, it is on this that MX names are spoken to. */
  readonly mxPort?: number;
  /** Address to listen on; sessions come from 127.0.0.1 or from the `localAddress` of the client. */
  readonly host?: string;
  readonly queue?: string;
  readonly token?: string;
  /** Program and arguments that run what follows them, in the process that they were started in. */
  readonly under?: readonly string[];
}

/** Preloaded by a child with an IPC channel: when the test runner is gone, however it went, the child ends too. */
export const endWithRunner = `data:text/javascript,${encodeURIComponent(
  "process.once('disconnect', () => process.exit(1)); process.channel?.unref();",
)}`;

const mxPortMain = fileURLToPath(new URL('./mx-port-main.ts', import.meta.url));
const productMain = fileURLToPath(new URL('../../mta/main.ts', import.meta.url));

/** A real MTA process on free loopback ports, with its directories under the system's temporary one. */
export class MtaProcess {
  readonly directory: string;
  readonly lines: string[] = [];
  readonly queueDirectory: string;
  /** On the volume of the queue. */
  readonly journalDirectory: string;
  private readonly options: MtaTestOptions;
  private child: ChildProcess | undefined;
  private addresses: ReadonlyMap<string, { host: string; port: number }> = new Map();
  private readonly clients = new Set<SmtpClient>();

  constructor(directory: string, options: MtaTestOptions) {
    this.directory = directory;
    this.options = options;
    this.queueDirectory = options.queue ?? join(directory, 'queue');
    this.journalDirectory = join(this.queueDirectory, '..', 'journal');
  }

  get pid(): number {
    const pid = this.child?.pid;
    if (pid === undefined) throw new Error('the MTA is not running');
    return pid;
  }

  /** Starts the process. @throws Error with its output if it ends before it serves. */
  async start(): Promise<void> {
    const { options } = this;
    const host = options.host ?? '127.0.0.1';
    const path = (name: string) => join(this.directory, name);
    const [program = process.execPath, ...before] = [...(options.under ?? []), process.execPath];
    const child = spawn(
      program,
      [
        ...before,
        '--disable-warning=ExperimentalWarning',
        '--import',
        endWithRunner,
        options.main ?? (options.mxPort === undefined ? productMain : mxPortMain),
        ...['--policy', path('policy'), '--config', path('config'), '--home', path('home')],
        ...[
          '--queue',
          this.queueDirectory,
          '--journal',
          this.journalDirectory,
          '--maildir',
          path('mail'),
          '--ledger',
          path('ledger.json'),
          '--last-answers',
          path('last-answers.json'),
          '--smtp',
          `${host}:0`,
          '--http',
          `${host}:0`,
        ],
        ...(options.certificate ? ['--tls', path('tls')] : []),
        ...(options.token === undefined ? [] : ['--token-file', path('token')]),
        ...(options.args ?? []),
      ],
      {
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        env: { ...process.env, NODE_ENV: 'production', POSTERN_TEST_MX_PORT: `${options.mxPort}` },
      },
    );
    this.child = child;
    const ready = Promise.withResolvers<string>();
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface(stream).on('line', (line) => {
        this.lines.push(line);
        if (line.startsWith('ready ')) ready.resolve(line);
      });
    }
    child.once('exit', (code, signal) => {
      ready.reject(new Error(`the MTA ended (${code ?? signal}):\n${this.lines.slice(-20).join('\n')}`));
    });
    const line = await ready.promise;
    this.addresses = new Map(
      line
        .split(' ')
        .slice(1)
        .map((pair) => {
          const [name = '', address = ''] = pair.split('=');
          const colon = address.lastIndexOf(':');
          return [name, { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) }] as const;
        }),
    );
  }

  address(name: 'smtp' | 'submission' | 'submissions' | 'http'): { host: string; port: number } {
    const address = this.addresses.get(name);
    if (address === undefined) throw new Error(`the MTA does not listen for ${name}`);
    return address;
  }

  /** A connection, before its banner is read. */
  async connect(
    name: 'smtp' | 'submission' | 'submissions' = 'smtp',
    localAddress?: string,
  ): Promise<SmtpClient> {
    const client = await SmtpClient.connect({ ...this.address(name), ...(localAddress && { localAddress }) });
    this.clients.add(client);
    return client;
  }

  /** A connection with its banner read and EHLO done. */
  async session(name: 'smtp' | 'submission' = 'smtp', localAddress?: string): Promise<SmtpClient> {
    const client = await this.connect(name, localAddress);
    await client.reply();
    await client.send('EHLO client.example');
    return client;
  }

  /** A session in which a trusted proxy (us) says who the client is; the MTA needs `--proxy-from 127.0.0.1`. */
  async proxied(clientIp: string): Promise<SmtpClient> {
    const client = await this.connect();
    client.write(
      clientIp.includes(':')
        ? `PROXY TCP6 ${clientIp} ::1 40000 25\r\n`
        : `PROXY TCP4 ${clientIp} 127.0.0.1 40000 25\r\n`,
    );
    await client.reply();
    await client.send('EHLO client.example');
    return client;
  }

  /** Swaps the policy as kubelet would. Does not wait for the MTA. */
  async writePolicy(files: ReadonlyMap<string, Uint8Array>): Promise<void> {
    await writeVolume(join(this.directory, 'policy'), files, Date.now());
  }

  /** Swaps the mounted certificate as kubelet would. Does not wait for the MTA. */
  async writeCertificate({ cert, key }: { cert: string; key: string }): Promise<void> {
    const files = new Map([
      ['tls.crt', Buffer.from(cert)],
      ['tls.key', Buffer.from(key)],
    ]);
    await writeVolume(join(this.directory, 'tls'), files, Date.now());
  }

  /** Swaps the policy and waits until it is loaded. */
  async loadPolicy(bundle: PolicyBundle, secrets?: SecretBundle): Promise<void> {
    await this.loadFiles(policyFiles(bundle, secrets));
  }

  /** The same with files that are rendered already. */
  async loadFiles(files: ReadonlyMap<string, Uint8Array>): Promise<void> {
    await this.writePolicy(files);
    const { bundleHash } = JSON.parse(Buffer.from(files.get('index.json') ?? '').toString());
    await eventually(async () => (await this.state()).bundleHash === bundleHash, 'the new policy is loaded');
  }

  async get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    const { host, port } = this.address('http');
    return fetch(`http://${host}:${port}${path}`, { headers });
  }

  async state(): Promise<MtaState> {
    const { token } = this.options;
    const response = await this.get(
      '/state',
      token === undefined ? {} : { authorization: `Bearer ${token}` },
    );
    return mtaState.parse(await response.json());
  }

  /** Samples of a metric: its labels, as they stand in the text, and its value. */
  async metric(name: string): Promise<Record<string, number>> {
    const text = await (await this.get('/metrics')).text();
    const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`));
    return Object.fromEntries(
      lines.map((line) => [line.slice(name.length, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
    );
  }

  /** Log lines that are JSON and satisfy the test. */
  logged(test: (entry: Record<string, unknown>) => boolean): Record<string, unknown>[] {
    return this.lines
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line))
      .filter(test);
  }

  /** The mails in a mailbox, or in a folder of it. */
  async mailbox(domain: string, localPart: string, folder?: string): Promise<string[]> {
    const maildir = join(this.directory, 'mail', domain, localPart, 'Maildir');
    const directory = join(maildir, ...(folder === undefined ? [] : [`.${folder}`]), 'new');
    const names = await readdir(directory).catch(() => []);
    return Promise.all(names.map((name) => readFile(join(directory, name), 'latin1')));
  }

  /** Files in the queue, and mails that have none yet. */
  async queued(): Promise<string[]> {
    // First the journal: what leaves it meanwhile is in the queue by then.
    const fresh = await this.journalled();
    const files = await readdir(this.queueDirectory).catch(() => []);
    return [...new Set([...fresh, ...files])];
  }

  /** Names of the mails that lie in the journal alone. */
  async journalled(): Promise<string[]> {
    const segments = await readdir(this.journalDirectory).catch(() => []);
    const bytes = segments.map((name) =>
      readFile(join(this.journalDirectory, name)).catch(() => Buffer.alloc(0)),
    );
    const found = (await Promise.all(bytes)).map((segment) => readSegment(segment)?.legs ?? []);
    return found.flat().map(({ name }) => name);
  }

  /** Sends a signal and waits for the end. @returns the exit code, or the signal that ended it. */
  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | string | null> {
    const child = this.child;
    if (child === undefined) return null;
    this.child = undefined;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode ?? child.signalCode;
    const exited = once(child, 'exit');
    child.kill(signal);
    const [code, by] = await exited;
    return code ?? by;
  }

  /** Waits for an end that somebody else has caused. */
  async ended(): Promise<number | string | null> {
    const child = this.child;
    if (child === undefined) return null;
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return child.exitCode ?? child.signalCode;
  }

  signal(signal: NodeJS.Signals): void {
    this.child?.kill(signal);
  }

  /** What legs began and did not end, by the counters of the process; 0 unless mail was lost or counted twice. */
  async imbalance(): Promise<number> {
    const text = await (await this.get('/metrics')).text();
    const value = (name: string) =>
      Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`postern_mta_${name} `))
          ?.split(' ')
          .at(-1) ?? 0,
      );
    const legs = (...fates: string[]) =>
      fates.reduce((sum, fate) => sum + value(`legs_total{fate="${fate}"}`), 0);
    return (
      legs('accepted', 'reports', 'found', 'adopted') -
      legs('delivered', 'bounced', 'ledger', 'handedOver') -
      value('queue_messages')
    );
  }

  /** Every scenario ends with the books closed: accepted + adopted = delivered + bounced + queued + ledger + handed over. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      for (const client of this.clients) client.destroy();
      const { child } = this;
      if (
        child !== undefined &&
        child.exitCode === null &&
        child.signalCode === null &&
        this.addresses.has('http')
      )
        await eventually(
          async () => (await this.imbalance()) === 0,
          'every leg has one end or waits in the queue',
        );
    } finally {
      await this.end();
      await rm(this.directory, { recursive: true, force: true });
    }
  }
}

/** Makes the directories of an MTA without starting it. */
export async function prepareMta(options: MtaTestOptions = {}): Promise<MtaProcess> {
  const parsed = parseMtaSettings(
    JSON.stringify({ heloName: 'mx.mta.example', retryIntervalsSeconds: [5], ...options.settings }),
  );
  if (!parsed.ok) throw new Error(`settings of the test: ${JSON.stringify(parsed.problems)}`);
  const directory = await mkdtemp(join(tmpdir(), 'postern-mta-'));
  for (const name of ['policy', 'config', 'tls']) await mkdir(join(directory, name));
  for (const [name, text] of renderHarakaFiles(parsed.settings, { namespace: 'mail', mta: 'default' })) {
    await writeFile(join(directory, 'config', name), text);
  }
  if (options.token !== undefined) await writeFile(join(directory, 'token'), `${options.token}\n`);
  const mta = new MtaProcess(directory, options);
  const { certificate } = options;
  if (certificate !== undefined && certificate !== 'later') await mta.writeCertificate(certificate);
  if (options.bundle !== undefined) await mta.writePolicy(policyFiles(options.bundle, options.secrets));
  return mta;
}

/** Starts an MTA; `await using` ends it and removes its directories. */
export async function startMta(options: MtaTestOptions = {}): Promise<MtaProcess> {
  const mta = await prepareMta(options);
  try {
    await mta.start();
  } catch (error) {
    await mta[Symbol.asyncDispose]();
    throw error;
  }
  return mta;
}
