// A real Kubernetes control plane for tests: etcd and kube-apiserver as child processes, ready in 1 to 2 s.
// By itself there is no controller manager: nothing collects garbage by owner reference, a deleted namespace stays Terminating,
// and the aggregated ClusterRoles (view, edit, admin) are empty. node/ adds it, and a node.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Child, startChild } from './child.ts';
import { freePort } from './free-port.ts';
import { kubeconfig } from './kubeconfig.ts';
import { requireProgram } from './programs.ts';
import { type CommandResult, runCommand } from './run-command.ts';

const READY_TIMEOUT_MS = 60_000;
/** Somebody may take the port between our look and the server's bind. */
const START_ATTEMPTS = 3;
const auditLogName = 'audit.log';

export interface Identity {
  readonly name: string;
  readonly groups: readonly string[];
}

export interface ControlPlaneOptions {
  /** Who may log in beside `admin` (group system:masters). What they may do is for RBAC objects to say. */
  readonly identities?: readonly Identity[];
  /** For a cluster with a node. Without it the server is for this machine only, and pods are mere objects. */
  readonly withNode?: {
    /** Address of this machine that pods and the node reach. */
    readonly address: string;
    /** CIDR of Services; its first address is that of the API server. */
    readonly serviceRange: string;
    /** User or ServiceAccount (`system:serviceaccount:...`) whose every request is noted in `auditLog`. */
    readonly audited: string;
  };
}

export interface ControlPlane {
  /** `https://127.0.0.1:port` */
  readonly url: string;
  /** File of the API server's audit events (audit.k8s.io/v1, one JSON text a line); only with a node. */
  readonly auditLog: string;
  /** PEM file of the private key that signs tokens of ServiceAccounts. */
  readonly serviceAccountKeyFile: string;
  /** PEM files: the self-made certificate of the server (and its authority) and its key. A proxy in front can use both. */
  readonly tls: { readonly certFile: string; readonly keyFile: string };
  /**
   * Writes a kubeconfig for one of the identities.
   *
   * @param identity `admin` or a name given at start.
   * @param server Address to use instead of `url`, for example that of a fault proxy.
   * @returns The path of the file.
   * @throws Error if the identity is unknown.
   */
  kubeconfigFor(identity: string, server?: string): Promise<string>;
  /** Writes a kubeconfig that says where the server is and not who asks. @returns The path of the file. */
  kubeconfigWithoutToken(): Promise<string>;
  /**
   * Writes a kubeconfig for a ServiceAccount (created if absent) with a token that the API server issued: what a pod has.
   *
   * @returns The path of the file. RBAC sees `system:serviceaccount:<namespace>:<name>`.
   */
  kubeconfigForServiceAccount(namespace: string, name: string, server?: string): Promise<string>;
  /** Runs the real kubectl as this identity. A non-zero exit code is returned, not thrown. */
  kubectl(identity: string, args: readonly string[], stdin?: string): Promise<CommandResult>;
  /** Creates a namespace. @throws Error with kubectl's message. */
  createNamespace(name: string): Promise<void>;
  /** Applies every manifest of a folder and waits until all CustomResourceDefinitions are established. */
  installCrds(folder: string): Promise<void>;
  /** Ends both servers and removes their data. May be called twice. */
  stop(): Promise<void>;
}

/**
 * Starts etcd and kube-apiserver with token identities and RBAC.
 *
 * @throws Error if a program is not installed (it says how) or does not get ready (with the end of its log).
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-cluster-'));
  const children: Child[] = [];
  const stop = async () => {
    await Promise.all(children.map((child) => child.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const tokens = await writeIdentities(folder, [
      { name: 'admin', groups: ['system:masters'] },
      ...(options.identities ?? []),
    ]);
    await writeServiceAccountKeys(folder);
    await writeFile(join(folder, 'audit-policy.json'), auditPolicy(options.withNode?.audited ?? ''));
    children.push(await startEtcd(folder));
    const { server, url } = await startApiServer(folder, tokens.get('admin') ?? '', options.withNode);
    children.push(server);
    return controlPlane(folder, url, tokens, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function writeIdentities(
  folder: string,
  identities: readonly Identity[],
): Promise<Map<string, string>> {
  const tokens = new Map(identities.map(({ name }) => [name, randomBytes(16).toString('hex')]));
  const lines = identities.map(
    ({ name, groups }) => `${tokens.get(name)},${name},${name},"${groups.join(',')}"\n`,
  );
  await writeFile(join(folder, 'tokens.csv'), lines.join(''));
  return tokens;
}

async function writeServiceAccountKeys(folder: string): Promise<void> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeFile(join(folder, 'sa.pub'), publicKey.export({ type: 'spki', format: 'pem' }));
  await writeFile(join(folder, 'sa.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

/**
 * etcd on Unix sockets: no port to lose to another process. It takes `unix://host:port` only, and makes a socket file
 * of that name in its working folder.
 */
async function startEtcd(folder: string): Promise<Child> {
  const etcd = startChild(
    requireProgram('etcd'),
    [
      '--data-dir=etcd',
      '--listen-client-urls=unix://client:0',
      '--advertise-client-urls=unix://client:0',
      '--listen-peer-urls=unix://peer:0',
      '--initial-advertise-peer-urls=unix://peer:0',
      '--initial-cluster=default=unix://peer:0',
      // The data dies with the test: waiting for the disk would only cost time.
      '--unsafe-no-fsync',
      '--log-level=warn',
    ],
    { name: 'etcd', cwd: folder },
  );
  try {
    await etcd.ready(async () => existsSync(join(folder, 'client:0')), READY_TIMEOUT_MS);
    return etcd;
  } catch (error) {
    await etcd.stop();
    throw error;
  }
}

async function startApiServer(
  folder: string,
  token: string,
  withNode: ControlPlaneOptions['withNode'],
): Promise<{ server: Child; url: string }> {
  const address = withNode?.address ?? '127.0.0.1';
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort(address);
    const url = `https://${address}:${port}`;
    const flags = [
      ...apiServerFlags(folder, address, port),
      ...(withNode === undefined ? alone : withNodeFlags(folder, withNode.serviceRange)),
    ];
    const server = startChild(requireProgram('kube-apiserver'), flags, { name: 'kube-apiserver' });
    try {
      await server.ready(() => isReady(url, join(folder, 'apiserver.crt'), token), READY_TIMEOUT_MS);
      return { server, url };
    } catch (error) {
      await server.stop();
      if (attempt < START_ATTEMPTS && server.log().includes('address already in use')) continue;
      throw error;
    }
  }
}

/** Flags of a server without a node. */
const alone = [
  // A loopback address is no valid endpoint of the service "kubernetes"; nobody needs that service here.
  '--endpoint-reconciler-type=none',
  '--service-cluster-ip-range=10.96.0.0/24',
  // No controller manager makes the "default" ServiceAccount that this plugin demands of every pod.
  '--disable-admission-plugins=ServiceAccount',
];

/** Flags of a server with a node. */
function withNodeFlags(folder: string, serviceRange: string): string[] {
  return [
    `--audit-policy-file=${join(folder, 'audit-policy.json')}`,
    `--audit-log-path=${join(folder, auditLogName)}`,
    `--service-cluster-ip-range=${serviceRange}`,
    // This machine's DNS does not know the name of the node.
    '--kubelet-preferred-address-types=InternalIP',
  ];
}

/** Who did what to which object, and no content. */
function auditPolicy(user: string): string {
  return JSON.stringify({
    apiVersion: 'audit.k8s.io/v1',
    kind: 'Policy',
    omitStages: ['RequestReceived'],
    rules: [{ level: 'Metadata', users: [user] }, { level: 'None' }],
  });
}

function apiServerFlags(folder: string, address: string, port: number): string[] {
  return [
    `--etcd-servers=unix://${join(folder, 'client:0')}`,
    `--bind-address=${address}`,
    `--advertise-address=${address}`,
    `--secure-port=${port}`,
    // Without certificate flags the server makes an authority and a certificate for its address in this folder.
    `--cert-dir=${folder}`,
    `--token-auth-file=${join(folder, 'tokens.csv')}`,
    '--authorization-mode=Node,RBAC',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${join(folder, 'sa.pub')}`,
    `--service-account-signing-key-file=${join(folder, 'sa.key')}`,
    '--profiling=false',
  ];
}

async function isReady(url: string, caFile: string, token: string): Promise<boolean> {
  const ca = await readFile(caFile);
  return new Promise((resolve, reject) => {
    const options = { ca, headers: { authorization: `Bearer ${token}` }, agent: false, timeout: 2000 };
    const request = https.get(`${url}/readyz`, options, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy(new Error('no answer in 2 s')));
    request.on('error', reject);
  });
}

function controlPlane(
  folder: string,
  url: string,
  tokens: ReadonlyMap<string, string>,
  stop: () => Promise<void>,
): ControlPlane {
  const caFile = join(folder, 'apiserver.crt');
  let files = 0;
  const write = async (identity: string, token: string, server = url) => {
    files += 1;
    const path = join(folder, `kubeconfig-${files}`);
    await writeFile(path, kubeconfig({ server, caFile, identity, token }), { mode: 0o600 });
    return path;
  };
  const ownFiles = new Map<string, Promise<string>>();

  const kubeconfigFor = (identity: string, server?: string) => {
    const token = tokens.get(identity);
    if (token === undefined) {
      throw new Error(
        `identity "${identity}" is unknown: start the control plane with it (known: ${[...tokens.keys()].join(', ')})`,
      );
    }
    if (server !== undefined) return write(identity, token, server);
    const path = ownFiles.get(identity) ?? write(identity, token);
    ownFiles.set(identity, path);
    return path;
  };

  const kubectl = async (identity: string, args: readonly string[], stdin?: string) =>
    runCommand(
      requireProgram('kubectl'),
      [
        `--kubeconfig=${await kubeconfigFor(identity)}`,
        `--cache-dir=${join(folder, 'kubectl-cache')}`,
        ...args,
      ],
      stdin,
    );

  const kubectlOrThrow = async (args: readonly string[], stdin?: string) => {
    const { code, stdout, stderr } = await kubectl('admin', args, stdin);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr.trim()}`);
    return stdout;
  };

  return {
    url,
    auditLog: join(folder, auditLogName),
    serviceAccountKeyFile: join(folder, 'sa.key'),
    tls: { certFile: caFile, keyFile: join(folder, 'apiserver.key') },
    kubeconfigFor: async (identity, server) => kubeconfigFor(identity, server),
    kubeconfigWithoutToken: () => write('nobody', ''),
    kubectl,
    async kubeconfigForServiceAccount(namespace, name, server) {
      const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } };
      await kubectlOrThrow(['apply', '--server-side', '-f', '-'], JSON.stringify(account));
      const token = await kubectlOrThrow([
        'create',
        'token',
        name,
        `--namespace=${namespace}`,
        '--duration=1h',
      ]);
      return write(`${namespace}/${name}`, token.trim(), server);
    },
    async createNamespace(name) {
      await kubectlOrThrow(['create', 'namespace', name]);
    },
    async installCrds(crdFolder) {
      await kubectlOrThrow(['apply', '--server-side', '-f', crdFolder]);
      const wait = ['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s'];
      // A definition that the server has not judged yet may have no conditions at all, and kubectl takes offence.
      const deadline = performance.now() + READY_TIMEOUT_MS;
      for (;;) {
        const { code, stderr } = await kubectl('admin', wait);
        if (code === 0) return;
        if (performance.now() > deadline) throw new Error(`kubectl ${wait.join(' ')}: ${stderr.trim()}`);
      }
    },
    stop,
  };
}
