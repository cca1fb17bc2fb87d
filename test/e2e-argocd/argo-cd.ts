// A real Argo CD on a test's control plane: application controller and repo server as child processes, with a Redis of their own.
// There is no UI, no API server of Argo CD's and no pod; Applications are objects, and all that matters is in their status.
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { type Child, startChild } from '../cluster/child.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { freePort } from '../cluster/free-port.ts';
import { requireProgram } from '../cluster/programs.ts';
import { argoCdParts } from './install.ts';

/** Who Argo CD is; the control plane has to be started with it. As after an install of Argo CD, it may do everything. */
export const argoCdIdentity = { name: 'argocd', groups: ['system:masters'] } as const;
/** Where Applications lie. */
export const argoCdNamespace = 'argocd';

const readyTimeoutMs = 60_000;
/** A port may be taken between our look and the program's bind. */
const startAttempts = 3;

/** What docs/install.md tells to patch argocd-cm with. */
const customizations = fileURLToPath(new URL('../../argocd/argocd-cm.yaml', import.meta.url));

export interface ArgoCd {
  /** The address of the cluster in the destination of an Application. */
  readonly server: string;
  /** The end of what both programs logged. */
  log(): string;
  /** Ends all its processes and removes their files. The objects stay. */
  stop(): Promise<void>;
}

/**
 * Installs Argo CD's kinds and settings, with the health checks and actions of the repository, and starts it.
 *
 * @throws Error if one of its programs does not get ready (with the end of its log)
 */
export async function startArgoCd(controlPlane: ControlPlane): Promise<ArgoCd> {
  await controlPlane.installCrds(argoCdParts.crds);
  await controlPlane.createNamespace(argoCdNamespace);
  await installSettings(controlPlane);
  const folder = await mkdtemp(join(tmpdir(), 'postern-argocd-'));
  const children: Child[] = [];
  const stop = async () => {
    await Promise.all(children.map((child) => child.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const env = await environment(folder);
    const redis = await startOnFreePort((port) => startRedis(port, folder));
    children.push(redis.child);
    const repoServer = await startOnFreePort((port) => startRepoServer(port, redis.port, env));
    children.push(repoServer.child);
    const kubeconfig = await controlPlane.kubeconfigFor(argoCdIdentity.name);
    const controller = await startOnFreePort((port) =>
      startController(port, { redis: redis.port, repoServer: repoServer.port }, kubeconfig, env),
    );
    children.push(controller.child);
    const log = () =>
      [repoServer, controller].map(({ child }) => `${child.name}:\n${child.log()}`).join('\n');
    return { server: controlPlane.url, log, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function installSettings(controlPlane: ControlPlane): Promise<void> {
  const object = (kind: string, name: string, content: object) => ({
    apiVersion: 'v1',
    kind,
    metadata: { name, namespace: argoCdNamespace, labels: { 'app.kubernetes.io/part-of': 'argocd' } },
    ...content,
  });
  const names = ['cm', 'cmd-params-cm', 'rbac-cm', 'ssh-known-hosts-cm', 'tls-certs-cm', 'gpg-keys-cm'];
  const kubeconfig = z
    .object({
      clusters: z.tuple([z.object({ cluster: z.object({ 'certificate-authority': z.string() }) })]),
      users: z.tuple([z.object({ user: z.object({ token: z.string() }) })]),
    })
    .parse(JSON.parse(await readFile(await controlPlane.kubeconfigFor(argoCdIdentity.name), 'utf8')));
  const ca = await readFile(kubeconfig.clusters[0].cluster['certificate-authority']);
  const access = {
    bearerToken: kubeconfig.users[0].user.token,
    tlsClientConfig: { caData: ca.toString('base64') },
  };
  const cluster = object('Secret', 'test-cluster', {
    stringData: { name: 'test', server: controlPlane.url, config: JSON.stringify(access) },
  });
  const objects = [
    ...names.map((name) => object('ConfigMap', `argocd-${name}`, {})),
    object('Secret', 'argocd-secret', {
      stringData: { 'server.secretkey': randomBytes(16).toString('hex') },
    }),
    {
      ...cluster,
      metadata: { ...cluster.metadata, labels: { 'argocd.argoproj.io/secret-type': 'cluster' } },
    },
    {
      apiVersion: 'argoproj.io/v1alpha1',
      kind: 'AppProject',
      metadata: { name: 'default', namespace: argoCdNamespace },
      spec: {
        sourceRepos: ['*'],
        destinations: [{ namespace: '*', server: '*' }],
        clusterResourceWhitelist: [{ group: '*', kind: '*' }],
      },
    },
  ];
  const manifests = objects.map((one) => JSON.stringify(one)).join('\n---\n');
  await kubectl(controlPlane, ['apply', '--server-side', '-f', '-'], manifests);
  await kubectl(controlPlane, [
    ...['patch', 'configmap', 'argocd-cm', '--namespace', argoCdNamespace],
    ...['--patch-file', customizations],
  ]);
}

async function kubectl(controlPlane: ControlPlane, args: readonly string[], stdin?: string): Promise<void> {
  const { code, stderr } = await controlPlane.kubectl('admin', args, stdin);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
}

/** Everything that the programs write lies in the folder. */
async function environment(folder: string): Promise<Record<string, string>> {
  const at = (name: string) => join(folder, name);
  for (const name of ['tmp', 'ssh', 'tls', 'home']) await mkdir(at(name));
  await writeFile(join(at('ssh'), 'ssh_known_hosts'), '');
  return {
    HOME: at('home'),
    XDG_CACHE_HOME: at('home'),
    TMPDIR: at('tmp'),
    PATH: [dirname(requireProgram('helm')), process.env['PATH'] ?? ''].join(delimiter),
    ARGOCD_ASK_PASS_SOCK: at('ask-pass.sock'),
    ARGOCD_SSH_DATA_PATH: at('ssh'),
    ARGOCD_TLS_DATA_PATH: at('tls'),
    ARGOCD_GPG_ENABLED: 'false',
  };
}

/** A server and the one port that others reach it on. */
interface Started {
  readonly child: Child;
  readonly port: number;
}

async function startOnFreePort(start: (port: number) => Promise<Child>): Promise<Started> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    try {
      return { child: await start(port), port };
    } catch (error) {
      if (attempt < startAttempts && /address already in use/i.test(String(error))) continue;
      throw error;
    }
  }
}

async function startRedis(port: number, folder: string): Promise<Child> {
  const args = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    folder,
    '--save',
    '',
    '--appendonly',
    'no',
  ];
  const child = startChild('/usr/bin/redis-server', args, { name: 'redis' });
  return whenReady(child, async () => child.log().includes('Ready to accept connections'));
}

async function startRepoServer(port: number, redis: number, env: Record<string, string>): Promise<Child> {
  const metrics = await freePort();
  const args = [
    ...['--address', '127.0.0.1', '--port', String(port)],
    ...['--metrics-address', '127.0.0.1', '--metrics-port', String(metrics)],
    ...['--disable-tls', '--redis', `127.0.0.1:${redis}`, '--loglevel', 'warn'],
  ];
  const child = startChild(argoCdParts.repoServer, args, { name: 'argocd-repo-server', env });
  return whenReady(child, () => isHealthy(metrics, '?full=true'));
}

async function startController(
  port: number,
  ports: { readonly redis: number; readonly repoServer: number },
  kubeconfig: string,
  env: Record<string, string>,
): Promise<Child> {
  const args = [
    ...['--kubeconfig', kubeconfig, '--namespace', argoCdNamespace, '--metrics-port', String(port)],
    ...['--repo-server', `127.0.0.1:${ports.repoServer}`, '--repo-server-plaintext'],
    ...['--redis', `127.0.0.1:${ports.redis}`, '--loglevel', 'warn'],
    // Two cores: fewer at a time than the 20 and 10 of a big installation.
    ...['--status-processors', '4', '--operation-processors', '4'],
    // The health of every object in the Application's status, not in Redis alone.
    '--persist-resource-health',
  ];
  const child = startChild(argoCdParts.controller, args, { name: 'argocd-application-controller', env });
  return whenReady(child, () => isHealthy(port));
}

async function whenReady(child: Child, isReady: () => Promise<boolean>): Promise<Child> {
  try {
    await child.ready(isReady, readyTimeoutMs);
    return child;
  } catch (error) {
    await child.stop();
    throw error;
  }
}

async function isHealthy(port: number, query = ''): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/healthz${query}`, {
    signal: AbortSignal.timeout(2_000),
  });
  return response.ok;
}
