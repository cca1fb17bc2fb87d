// A whole cluster of one node: control plane, controllers, node, volumes, images. About 20 s to start.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureDebianParts } from '../../parts/install.ts';
import type { Child } from '../child.ts';
import { type ControlPlane, type Identity, startControlPlane } from '../control-plane.ts';
import { ensurePrograms } from '../install.ts';
import { takeLock } from '../lock.ts';
import { cacheRoot, controlPlanePrograms, nodePrograms } from '../programs.ts';
import { hostAddress, serviceRange } from './addresses.ts';
import { importImages, startContainerd } from './containerd.ts';
import { type Machine, startMachine } from './machine.ts';
import { nodeIdentities, nodeName, startControllers, startNodePrograms } from './node.ts';
import { makeVolumes } from './volumes.ts';

export interface ClusterOptions {
  /** Who may log in beside `admin`. */
  readonly identities: readonly Identity[];
  /** For `DOCKER_HOST`: where the images come from. */
  readonly dockerHost: string;
  readonly images: readonly string[];
  /** Whose requests the API server notes; see `ControlPlaneOptions`. */
  readonly audited: string;
  /** How many claims of volumes can be satisfied. */
  readonly volumes: number;
}

export interface Cluster {
  readonly controlPlane: ControlPlane;
  /** For what only the node itself can do. */
  readonly machine: Machine;
  /** The end of what each program wrote, for a failed test. */
  logs(): string;
  /** Ends everything, with all pods, and removes its data. */
  stop(): Promise<void>;
}

/**
 * Starts a cluster. Installs what is missing; needs root and Debian's packages.
 *
 * @throws Error that names the part that did not start, with the end of its log
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  await ensureDebianParts(['node']);
  await ensurePrograms([...controlPlanePrograms, ...nodePrograms]);
  // One at a time: addresses and control groups are those of the machine.
  const folder = join(cacheRoot(), 'node');
  const unlock = await takeLock(folder, () =>
    console.log('  waiting for another test run that has a node on this machine'),
  );
  // Left by a run that was killed; the lock says that nobody uses it.
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const started: { stop(): Promise<void> }[] = [];
  const programs: Child[] = [];
  const logs = () => programs.map((program) => `--- ${program.name}\n${program.log()}`).join('\n');
  const stop = async () => {
    await Promise.all(programs.map((program) => program.stop()));
    for (const part of started.toReversed()) await part.stop();
    await rm(folder, { recursive: true, force: true });
    unlock();
  };
  try {
    const machine = await startMachine(folder);
    started.push(machine);
    const controlPlane = await startControlPlane({
      identities: [...nodeIdentities, ...options.identities],
      withNode: { address: hostAddress, serviceRange, audited: options.audited },
    });
    started.push(controlPlane);
    programs.push(...(await startControllers(controlPlane)));
    programs.push(await startContainerd(machine, folder));
    await importImages(machine, options.dockerHost, options.images);
    programs.push(...(await startNodePrograms(machine, controlPlane, folder)));
    await makeVolumes(controlPlane, folder, options.volumes);
    await waitForNode(controlPlane);
    return { controlPlane, machine, logs, stop };
  } catch (error) {
    const text = logs();
    await stop();
    throw new Error(`no cluster: ${error instanceof Error ? error.message : String(error)}\n${text}`, {
      cause: error,
    });
  }
}

async function waitForNode(controlPlane: ControlPlane): Promise<void> {
  for (const what of ['--for=create', '--for=condition=Ready']) {
    const { code, stderr } = await controlPlane.kubectl('admin', [
      ...['wait', what, `node/${nodeName}`, '--timeout=90s'],
    ]);
    if (code !== 0) throw new Error(`the node: ${stderr}`);
  }
}
