// Debian's containerd on the machine of the node, with a network for pods.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { docker } from '../../parts/docker.ts';
import type { Child } from '../child.ts';
import { requireProgram } from '../programs.ts';
import { runCommand } from '../run-command.ts';
import { podRange } from './addresses.ts';
import type { Machine } from './machine.ts';

/** In the machine's own /run. */
export const containerdSocket = '/run/containerd/containerd.sock';
const pauseImage = 'postern-pause:test';
const readyMs = 60_000;

/** @throws Error with the end of its log if it does not start */
export async function startContainerd(machine: Machine, folder: string): Promise<Child> {
  const network = join(folder, 'cni');
  await mkdir(network, { recursive: true });
  await writeFile(
    join(network, '10-pods.conflist'),
    JSON.stringify({
      cniVersion: '1.0.0',
      name: 'pods',
      plugins: [
        // A wire from each pod to the node, and no bridge: packets between pods go through kube-proxy's rules like all others.
        {
          type: 'ptp',
          ipMasq: false,
          ipam: { type: 'host-local', ranges: [[{ subnet: podRange }]], routes: [{ dst: '0.0.0.0/0' }] },
        },
      ],
    }),
  );
  const config = join(folder, 'containerd.toml');
  await writeFile(config, containerdConfig(folder, network));
  const child = machine.start('containerd', ['--config', config], { name: 'containerd' });
  await child.ready(async () => (await machine.run('ctr', 'version')).code === 0, readyMs);
  return child;
}

function containerdConfig(folder: string, network: string): string {
  return `version = 2
root = "${join(folder, 'containerd')}"
state = "/run/containerd"
[grpc]
  address = "${containerdSocket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/${pauseImage}"
  # Where the machine lacks CAP_SYS_RESOURCE, no sandbox starts without it.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${network}"
`;
}

/** Gives the node images of a Docker daemon, and the one that holds the namespaces of every pod. */
export async function importImages(
  machine: Machine,
  dockerHost: string,
  images: readonly string[],
): Promise<void> {
  await makePauseImage(dockerHost);
  const save = spawn('docker', ['--host', dockerHost, 'save', pauseImage, ...images], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [command = '', ...args] = [
    ...machine.enter,
    ...['ctr', '--namespace', 'k8s.io', 'images', 'import', '-'],
  ];
  const load = spawn(command, args, { stdio: [save.stdout, 'ignore', 'pipe'] });
  let errors = '';
  for (const stream of [save.stderr, load.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-4000);
    });
  }
  // Not their "close": our end of the pipe between them is never read.
  const codes = await Promise.all([save, load].map(async (child) => (await once(child, 'exit'))[0]));
  if (codes.some((code) => code !== 0))
    throw new Error(`containerd did not take ${images.join(', ')}: ${errors}`);
}

async function makePauseImage(dockerHost: string): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'postern-pause-'));
  try {
    const tar = join(scratch, 'pause.tar');
    const program = requireProgram('pause');
    const packed = await runCommand('tar', ['-cf', tar, '-C', join(program, '..'), 'pause']);
    if (packed.code !== 0) throw new Error(`tar: ${packed.stderr}`);
    await docker(dockerHost, ['import', '--change', 'ENTRYPOINT ["/pause"]', tar, pauseImage]);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
