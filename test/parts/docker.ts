// A Docker daemon: the one that this machine has, or one of our own that leaves nothing behind outside the cache.
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { startChild } from '../cluster/child.ts';
import { takeLock } from '../cluster/lock.ts';
import { cacheRoot } from '../cluster/programs.ts';
import { type CommandResult, runCommand } from '../cluster/run-command.ts';
import { ensureDebianParts } from './install.ts';

const machineSocket = '/var/run/docker.sock';
/** The network of its containers; dockerd makes it and leaves it. */
const bridge = '/sys/class/net/docker0';

export interface Docker {
  /** For `DOCKER_HOST`. */
  readonly host: string;
  /** `true` if it was started here: it has no registry to pull from, and builds need the network of the host. */
  readonly own: boolean;
  /** Ends our own daemon and every container in it; leaves the machine's alone. */
  stop(): Promise<void>;
}

/**
 * Finds the machine's Docker (`$DOCKER_HOST`, else the usual socket) or starts a daemon. Our own one keeps its images in the
 * cache, so that a second build is quick, and is alone with them: a second test run waits until the first has ended.
 *
 * @throws Error with the end of the daemon's log, or with the packages to install where that needs somebody else.
 */
export async function startDocker(): Promise<Docker> {
  const given = process.env['DOCKER_HOST'];
  if (given !== undefined && given !== '') return { host: given, own: false, stop: async () => undefined };
  if (await answers(machineSocket)) {
    return { host: `unix://${machineSocket}`, own: false, stop: async () => undefined };
  }
  await ensureDebianParts(['docker']);
  const data = join(cacheRoot(), 'docker');
  await mkdir(data, { recursive: true });
  const unlock = await takeLock(data, () =>
    console.log('  waiting for another test run that uses Docker on this machine'),
  );
  try {
    return await startOwn(data, unlock);
  } catch (error) {
    unlock();
    throw error;
  }
}

/**
 * Runs Docker's command line.
 *
 * @returns what it wrote on standard output.
 * @throws Error with the end of what it wrote if it fails.
 */
export async function docker(host: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await tryDocker(host, args);
  if (code !== 0) {
    throw new Error(
      `"docker ${args.join(' ')}" failed (exit code ${code}):\n${`${stdout}${stderr}`.slice(-4000)}`,
    );
  }
  return stdout;
}

/** Like {@link docker}, for commands that may fail. */
export function tryDocker(host: string, args: readonly string[]): Promise<CommandResult> {
  return runCommand('docker', ['--host', host, ...args]);
}

async function startOwn(data: string, unlock: () => void): Promise<Docker> {
  const run = `${data}-run`;
  const bridgeIsOurs = join(run, 'bridge-is-ours');
  const bridgeWasThere = existsSync(bridge) && !existsSync(bridgeIsOurs);
  // A run that was killed leaves it; the lock says that nobody uses it.
  await removeRunFolder(run);
  await mkdir(run, { recursive: true, mode: 0o700 });
  if (!bridgeWasThere) await writeFile(bridgeIsOurs, '');
  const socket = join(run, 'docker.sock');
  const flags = {
    host: `unix://${socket}`,
    'data-root': data,
    'exec-root': join(run, 'exec'),
    pidfile: join(run, 'pid'),
    // Ports are published by a process, builds use the host's network: no rule of the machine's firewall is touched.
    iptables: 'false',
    ip6tables: 'false',
    'ip-forward': 'false',
    'ip-masq': 'false',
    'log-level': 'warn',
  };
  const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  // On SIGTERM it stops its containers, which outlive a SIGKILL.
  const daemon = startChild('/usr/sbin/dockerd', args, { name: 'dockerd', cwd: run, graceTenths: 300 });
  const stop = async () => {
    await daemon.stop();
    await removeRunFolder(run);
    if (!bridgeWasThere) await runCommand('ip', ['link', 'delete', 'docker0']);
    unlock();
  };
  try {
    await daemon.ready(() => answers(socket), 60_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return { host: flags.host, own: true, stop };
}

/** Removes dockerd's scratch, with the mount that it leaves behind in it. */
async function removeRunFolder(run: string): Promise<void> {
  await runCommand('umount', [join(run, 'exec', 'netns', 'default')]);
  await rm(run, { recursive: true, force: true });
}

/** Whether a daemon listens on this socket. */
async function answers(socketPath: string): Promise<boolean> {
  if (!existsSync(socketPath)) return false;
  return new Promise((resolve) => {
    const agent = new Agent();
    const request = get({ socketPath, path: '/_ping', agent, timeout: 5000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(false));
    request.once('close', () => agent.destroy());
  });
}
