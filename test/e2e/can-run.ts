// `npx node test/e2e/can-run.ts`: whether this machine can run the tests on a node. Ends with 0, or with 1 and one line that says
// why not. What is tried is what test/cluster/node and test/parts/docker.ts do, in namespaces that end with it.
import { existsSync } from 'node:fs';
import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cgroupRoots } from '../cluster/node/machine.ts';
import { runCommand } from '../cluster/run-command.ts';
import { ensureDebianParts, partsOfE2e } from '../parts/install.ts';

/** What the kernel must let a process do in namespaces of its own, in the order in which a node needs it. */
const attempts: readonly (readonly [what: string, script: string])[] = [
  ['mount a tmpfs in a namespace', 'mount -t tmpfs tmpfs /mnt'],
  ['mount proc in a namespace', 'mount -t proc proc /proc'],
  [
    'mount an overlay (containerd keeps images in them)',
    'mount -t tmpfs tmpfs /mnt && mkdir /mnt/l /mnt/u /mnt/w /mnt/o && mount -t overlay overlay -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w /mnt/o',
  ],
  ['make a pair of virtual network cards', 'ip link add postern-try type veth peer name eth0'],
  ['write firewall rules (kube-proxy)', 'iptables -w -t nat -N POSTERN-TRY'],
];

/** @returns what is in the way; undefined: nothing */
async function obstacle(): Promise<string | undefined> {
  if (process.platform !== 'linux') return `a node needs Linux, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'a node needs root: it makes namespaces, mounts and control groups';
  for (const root of await cgroupRoots()) {
    const group = join(root, `postern-try-${process.pid}`);
    try {
      await mkdir(group);
      await rmdir(group);
    } catch (error) {
      return `no control group can be made in ${root}: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  if (!existsSync('/usr/bin/apt-get') && !existsSync('/usr/bin/containerd'))
    return 'containerd is missing, and there is no apt-get to install it';
  await ensureDebianParts(partsOfE2e);
  const spaces = ['--net', '--mount', '--pid', '--uts', '--ipc', '--fork', '--propagation', 'private'];
  for (const [what, script] of attempts) {
    const { code, stderr } = await runCommand('unshare', [...spaces, '/bin/sh', '-ec', script]);
    if (code !== 0) return `this machine does not let us ${what}: ${stderr.trim().split('\n').at(-1)}`;
  }
  return undefined;
}

const reason = await obstacle().catch((error: unknown) =>
  error instanceof Error ? error.message.replaceAll(/\s*\n\s*/g, '; ') : String(error),
);
if (reason !== undefined) {
  console.log(reason);
  process.exitCode = 1;
}
