import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseMtaSettings } from '../../operator/api/mta-settings.ts';
import { renderHarakaFiles } from '../../operator/render/haraka-files.ts';
import { endWithRunner } from '../wire/mta-process.ts';
import { SmtpClient } from '../wire/smtp-client.ts';

export interface BareOptions {
  /** Source of a plain plugin; the only one that is loaded. */
  readonly plugin?: string;
  /** Files of the configuration over a usable default; undefined removes one. */
  readonly config?: Readonly<Record<string, string | undefined>>;
  readonly queue?: string;
}

const main = fileURLToPath(new URL('./bare-main.ts', import.meta.url));

/** A stock Haraka process, to show what Postern works around. */
export class BareHaraka {
  readonly lines: string[] = [];
  readonly child: ChildProcess;
  private readonly home: string;
  private readonly clients: SmtpClient[] = [];
  private port = 0;

  private constructor(home: string, child: ChildProcess) {
    this.home = home;
    this.child = child;
  }

  static async start({ plugin = '', config = {}, queue }: BareOptions = {}): Promise<BareHaraka> {
    const home = await mkdtemp(join(tmpdir(), 'postern-bare-'));
    const settings = parseMtaSettings('heloName: bare.example');
    if (!settings.ok) throw new Error('the settings are wrong');
    const files: Record<string, string | undefined> = {
      ...Object.fromEntries(renderHarakaFiles(settings.settings, { namespace: 'mail', mta: 'bare' })),
      'tls.ini': '[main]\nkey=\ncert=\n[redis]\ndisable_for_failed_hosts=false\n',
      'smtp.ini': 'listen=127.0.0.1:0\nnodes=0\n',
      internalcmd_key: 'secret',
      plugins: 'under_test\n',
      queue_dir: queue ?? join(home, 'queue'),
      ...config,
    };
    await mkdir(join(home, 'config'));
    await mkdir(join(home, 'plugins'));
    for (const [name, text] of Object.entries(files))
      if (text !== undefined) await writeFile(join(home, 'config', name), text);
    await writeFile(join(home, 'plugins', 'under_test.js'), plugin);
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', '--import', endWithRunner, main, home],
      {
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        env: { ...process.env, NODE_ENV: 'production' },
      },
    );
    const haraka = new BareHaraka(home, child);
    const ready = Promise.withResolvers<void>();
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface(stream).on('line', (line) => {
        haraka.lines.push(line);
        const port = /^ready smtp=127\.0\.0\.1:(\d+)$/.exec(line)?.[1];
        if (port === undefined) return;
        haraka.port = Number(port);
        ready.resolve();
      });
    }
    child.once('exit', () => ready.reject(new Error(haraka.lines.join('\n'))));
    await ready.promise;
    return haraka;
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('not running');
    return this.child.pid;
  }

  get queueDirectory(): string {
    return join(this.home, 'queue');
  }

  get address(): { host: string; port: number } {
    return { host: '127.0.0.1', port: this.port };
  }

  async connect(): Promise<SmtpClient> {
    const client = await SmtpClient.connect(this.address);
    this.clients.push(client);
    return client;
  }

  async session(): Promise<SmtpClient> {
    const client = await this.connect();
    await client.reply();
    await client.send('EHLO client.example');
    return client;
  }

  /** Waits for the end of the process. */
  async ended(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.clients) client.destroy();
    this.child.kill('SIGKILL');
    await this.ended();
    await rm(this.home, { recursive: true, force: true });
  }
}
