// The MTA as a restricted pod runs it: a foreign user id, no capabilities, a root file system that cannot be written.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer, Wait } from 'testcontainers';
import { inject } from 'vitest';
import type { PolicyBundle } from '../../bundle/policy-bundle.ts';
import { docker } from '../parts/docker.ts';
import { type MtaProcess, prepareMta } from '../wire/mta-process.ts';
import { SmtpClient } from '../wire/smtp-client.ts';

const smtpPort = 2525;
const httpPort = 8025;
const user = 65_532;

class RestrictedContainer extends GenericContainer {
  constructor(image: string) {
    super(image);
    this.hostConfig.ReadonlyRootfs = true;
    this.withUser(`${user}:${user}`);
    this.withDroppedCapabilities('ALL');
    this.withSecurityOpt('no-new-privileges');
  }
}

/** A running container with its volumes; `await using` removes both. */
export interface MtaContainer {
  /** What it wrote until now. */
  log(): string;
  /** A connection with its banner read and EHLO done. */
  session(): Promise<SmtpClient>;
  /** GET on its HTTP port. */
  get(path: string): Promise<Response>;
  /** The mails in a mailbox of the Maildir volume. */
  mailbox(domain: string, localPart: string): Promise<string[]>;
  /** Runs a command in the container. */
  run(...command: readonly string[]): Promise<{ exitCode: number; output: string }>;
  /** Stops it as kubelet does: SIGTERM, and SIGKILL (exit code 137) when the grace is over. @returns the exit code */
  terminate(graceSeconds: number): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts `postern mta` with the policy, its configuration, queue and mailboxes as volumes, and waits until it serves. */
export async function startMtaContainer(image: string, bundle: PolicyBundle): Promise<MtaContainer> {
  const files = await prepareMta({ bundle });
  try {
    return await start(image, files);
  } catch (error) {
    await files[Symbol.asyncDispose]();
    throw error;
  }
}

async function start(image: string, files: MtaProcess): Promise<MtaContainer> {
  const path = (name: string) => join(files.directory, name);
  for (const name of ['queue', 'journal', 'mail']) await mkdir(path(name));
  await handOver(image, files.directory);
  let log = '';
  const clients: SmtpClient[] = [];
  const container = await new RestrictedContainer(image)
    .withCommand([
      'mta',
      ...['--policy', '/etc/postern/policy', '--config', '/etc/postern/config', '--home', '/tmp/haraka'],
      ...['--queue', '/var/spool/postern/queue', '--journal', '/var/spool/postern/journal'],
      ...['--maildir', '/var/spool/postern/maildir'],
      ...['--ledger', '/var/spool/postern/ledger.json'],
      ...['--smtp', `0.0.0.0:${smtpPort}`, '--http', `0.0.0.0:${httpPort}`],
    ])
    .withBindMounts([
      { source: path('policy'), target: '/etc/postern/policy', mode: 'ro' },
      { source: path('config'), target: '/etc/postern/config', mode: 'ro' },
      { source: path('queue'), target: '/var/spool/postern/queue', mode: 'rw' },
      { source: path('journal'), target: '/var/spool/postern/journal', mode: 'rw' },
      { source: path('mail'), target: '/var/spool/postern/maildir', mode: 'rw' },
    ])
    .withTmpFs({ '/tmp': 'rw,noexec,nosuid,size=16m' })
    .withExposedPorts(smtpPort, httpPort)
    .withLogConsumer((stream) => {
      stream.on('data', (chunk: Buffer) => {
        log += chunk.toString();
      });
    })
    .withWaitStrategy(Wait.forLogMessage(/^ready smtp=/m))
    .start();
  return {
    log: () => log,
    async session() {
      const client = await SmtpClient.connect({
        host: container.getHost(),
        port: container.getMappedPort(smtpPort),
      });
      clients.push(client);
      await client.reply();
      await client.send('EHLO client.example');
      return client;
    },
    get: (url) => fetch(`http://${container.getHost()}:${container.getMappedPort(httpPort)}${url}`),
    mailbox: (domain, localPart) => files.mailbox(domain, localPart),
    run: async (...command) => container.exec([...command]),
    terminate: (graceSeconds) => terminate(container, graceSeconds),
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy();
      await container.stop({ timeout: 0 });
      await files[Symbol.asyncDispose]();
    },
  };
}

/** Gives the volumes to the user of the container, as fsGroup does in a pod. */
async function handOver(image: string, directory: string): Promise<void> {
  await docker(inject('dockerHost'), [
    ...['run', '--rm', '--network=none', '--user=0', '--volume', `${directory}:/volumes`],
    ...['--entrypoint', 'chown', image, '-R', `${user}:${user}`, '/volumes'],
  ]);
}

async function terminate(container: StartedTestContainer, graceSeconds: number): Promise<number> {
  const { container: containers } = await getContainerRuntimeClient();
  const running = containers.getById(container.getId());
  await running.stop({ t: graceSeconds });
  const { State } = await running.inspect();
  return State.ExitCode;
}
