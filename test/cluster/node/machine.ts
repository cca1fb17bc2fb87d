// The machine that a node runs on: namespaces of network, mounts and processes of its own on this one. When its first process ends,
// the kernel ends every other and takes back pods, mounts, routes and firewall rules, even if nobody could tidy up.
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Child, type ChildOptions, startChild } from '../child.ts';
import { type CommandResult, runCommand } from '../run-command.ts';
import {
  clientAddresses,
  hostAddress,
  linkPrefix,
  nodeAddress,
  podRange,
  serviceRange,
} from './addresses.ts';

const cgroupMount = '/sys/fs/cgroup';
/** The only thing that outlives the namespaces: removed at the end, and by the next run if this one is killed. */
export const cgroupName = 'postern-e2e';
/** Our end of the wire. */
const link = 'postern-e2e';
const deadlineMs = 20_000;

/**
 * What the first process does: hides the folders that kubelet, containerd and CNI write to wherever they are told to, and the kernel
 * settings that kubelet wants changed for the whole machine; says which process it is; reaps orphans.
 */
const FIRST_PROCESS = `
set -e
folder=$1
read -r pid rest < /proc/self/stat
mount -t proc proc /proc
mount --make-rshared /
for path in /run /var/log /var/lib; do mount -t tmpfs tmpfs "$path"; done
setting() {
  [ -e "/proc/sys/$1" ] || return 0
  echo "$2" > "$folder/$(echo "$1" | tr / .)"
  mount --bind "$folder/$(echo "$1" | tr / .)" "/proc/sys/$1"
}
setting vm/overcommit_memory 1
setting vm/panic_on_oom 0
setting kernel/panic 10
setting kernel/panic_on_oops 1
setting kernel/keys/root_maxkeys 1000000
setting kernel/keys/root_maxbytes 25000000
echo 1 > /proc/sys/net/ipv4/ip_forward
ip link set lo up
echo "$pid" > "$folder/pid.new"
mv "$folder/pid.new" "$folder/pid"
while :; do sleep 3600 & wait; done
`;

export interface Machine {
  /** Runs a program on it to its end. */
  run(command: string, ...args: readonly string[]): Promise<CommandResult>;
  /** Starts a server on it. */
  start(command: string, args: readonly string[], options?: ChildOptions): Child;
  /** The start of a command line that runs the rest of it there. */
  readonly enter: readonly string[];
  /** Ends everything on it, at once. */
  stop(): Promise<void>;
}

/**
 * Starts an empty machine with a wire to this one.
 *
 * @param folder for its files; the caller removes it after stop()
 * @throws Error if this process is not root, or with what the kernel refused
 */
export async function startMachine(folder: string): Promise<Machine> {
  if (process.getuid?.() !== 0)
    throw new Error('a node needs root: it makes namespaces, mounts and control groups');
  await removeCgroups();
  await mkdir(folder, { recursive: true });
  const first = startChild(
    'unshare',
    [
      ...[
        '--net',
        '--mount',
        '--pid',
        '--uts',
        '--ipc',
        '--fork',
        '--kill-child',
        '--propagation',
        'private',
      ],
      ...['/bin/sh', '-c', FIRST_PROCESS, 'node', folder],
    ],
    { name: 'the namespaces of the node', cwd: folder },
  );
  let pid = '';
  const stop = async () => {
    await first.stop();
    // The kernel has ended all others when the first one is gone; only then are their mounts.
    const deadline = performance.now() + deadlineMs;
    while (pid !== '' && existsSync(`/proc/${pid}`)) {
      if (performance.now() > deadline) throw new Error(`process ${pid}, the node, does not end`);
      await delay(50);
    }
    await run('ip', 'link', 'delete', link);
    await removeCgroups();
  };
  try {
    await first.ready(async () => existsSync(join(folder, 'pid')), deadlineMs);
    pid = (await readFile(join(folder, 'pid'), 'utf8')).trim();
    await connect(pid);
    await makeCgroups();
    const enter = ['nsenter', '--target', pid, '--net', '--mount', '--pid', '--uts', '--ipc', '--'];
    return {
      enter,
      run: (command, ...args) => runCommand('nsenter', [...enter.slice(1), command, ...args]),
      start: (command, args, options) =>
        startChild('nsenter', [...enter.slice(1), command, ...args], { name: command, ...options }),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function run(command: string, ...args: readonly string[]): Promise<CommandResult> {
  return runCommand(command, args);
}

/** The wire, its addresses, and the way to pods and Services. */
async function connect(pid: string): Promise<void> {
  const inside = ['nsenter', '--target', pid, '--net', '--'];
  const commands = [
    ['ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pid],
    ...[hostAddress, ...clientAddresses].map((address) => [
      ...['ip', 'address', 'add', `${address}/${linkPrefix}`, 'dev', link],
    ]),
    ['ip', 'link', 'set', link, 'up'],
    [...inside, 'ip', 'address', 'add', `${nodeAddress}/${linkPrefix}`, 'dev', 'eth0'],
    [...inside, 'ip', 'link', 'set', 'eth0', 'up'],
    // kubelet and kube-proxy look for the interface that leads out.
    [...inside, 'ip', 'route', 'add', 'default', 'via', hostAddress],
    ...[podRange, serviceRange].map((range) => ['ip', 'route', 'add', range, 'via', nodeAddress]),
  ];
  for (const [command = '', ...args] of commands) {
    const { code, stderr } = await run(command, ...args);
    if (code !== 0) throw new Error(`"${command} ${args.join(' ')}" failed: ${stderr.trim()}`);
  }
}

/** The roots of the control group hierarchies: one each for version 1, a single one for version 2. */
export async function cgroupRoots(): Promise<string[]> {
  if (existsSync(join(cgroupMount, 'cgroup.controllers'))) return [cgroupMount];
  const names = await readdir(cgroupMount, { withFileTypes: true });
  return names.filter((entry) => entry.isDirectory()).map((entry) => join(cgroupMount, entry.name));
}

async function makeCgroups(): Promise<void> {
  for (const root of await cgroupRoots()) {
    const group = join(root, cgroupName);
    await mkdir(group, { recursive: true });
    // Version 1: a new cpuset is empty, and takes no process.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      if (existsSync(join(root, file)) && existsSync(join(group, file)))
        await writeFile(join(group, file), await readFile(join(root, file)));
    }
  }
}

/** Waits for the kernel to have ended their processes. */
async function removeCgroups(): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  for (const root of await cgroupRoots()) {
    const group = join(root, cgroupName);
    while (existsSync(group)) {
      try {
        await removeGroup(group);
      } catch (error) {
        if (performance.now() > deadline) throw error;
        await delay(50);
      }
    }
  }
}

async function removeGroup(group: string): Promise<void> {
  for (const entry of await readdir(group, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeGroup(join(group, entry.name));
  }
  await rmdir(group);
}
