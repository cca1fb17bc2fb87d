// Before the tests on a node: the cluster, with the image of this tree and the two charts that a cluster administrator installs.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import * as z from 'zod';
import { type Cluster, startCluster } from '../cluster/node/cluster.ts';
import { requireProgram } from '../cluster/programs.ts';
import { step } from '../cluster/progress.ts';
import { runCommand } from '../cluster/run-command.ts';
import { image } from '../image/built-image.ts';

const access = z.object({
  /** kubeconfig files by identity. */
  kubeconfigs: z.record(z.string(), z.string()),
  /** Where the API server notes what {@link operatorUser} does. */
  auditLog: z.string(),
  /** The start of a command line that runs the rest of it on the node. */
  enter: z.array(z.string()),
});

/** How tests reach the cluster. */
export type ClusterAccess = z.infer<typeof access>;

declare module 'vitest' {
  interface ProvidedContext {
    readonly cluster: ClusterAccess;
  }
}

/** Who the operator is to the API server. */
export const operatorUser = 'system:serviceaccount:postern-system:postern';

/** People of the cluster: a tenant with the role admin in its namespaces, one who may only look. What they may do is bound by tests. */
const identities = ['anna', 'viktor'].map((name) => ({ name, groups: ['tenants'] }));

/** Called by vitest after built-image.ts; what it returns is called after the last test. */
export default async function setUp(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  // A cluster that test/e2e/up.ts keeps running, while tests are written.
  const running = process.env['POSTERN_E2E_CLUSTER'];
  if (running !== undefined) {
    project.provide('cluster', access.parse(JSON.parse(await readFile(running, 'utf8'))));
    return undefined;
  }
  const { cluster, access: found } = await startWithOperator(process.env['DOCKER_HOST'] ?? '');
  project.provide('cluster', found);
  return cluster.stop;
}

/** @param dockerHost where the image was built */
export async function startWithOperator(
  dockerHost: string,
): Promise<{ cluster: Cluster; access: ClusterAccess }> {
  const cluster = await step('starting a cluster of one node (about half a minute)', () =>
    startCluster({ identities, dockerHost, images: [image], audited: operatorUser, volumes: 80 }),
  );
  try {
    const names = ['admin', ...identities.map(({ name }) => name)];
    const kubeconfigs: Record<string, string> = {};
    for (const name of names) kubeconfigs[name] = await cluster.controlPlane.kubeconfigFor(name);
    kubeconfigs['nobody'] = await cluster.controlPlane.kubeconfigWithoutToken();
    await step('installing the charts postern-crds and postern', () => install(kubeconfigs['admin'] ?? ''));
    const { auditLog } = cluster.controlPlane;
    return { cluster, access: { kubeconfigs, auditLog, enter: [...cluster.machine.enter] } };
  } catch (error) {
    const text = cluster.logs();
    await cluster.stop();
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${text}`, { cause: error });
  }
}

/** As docs/install.md says, into a namespace that admits restricted pods only. */
async function install(kubeconfig: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-install-'));
  try {
    const namespace = join(folder, 'namespace.json');
    await writeFile(namespace, JSON.stringify(restrictedNamespace('postern-system')));
    const chart = (name: string) => join(import.meta.dirname, '../../charts', name);
    const [repository = '', tag = ''] = image.split(':');
    const helm = [
      'helm',
      `--kubeconfig=${kubeconfig}`,
      '--namespace=postern-system',
      '--wait',
      '--timeout=3m',
    ];
    const commands = [
      ['kubectl', `--kubeconfig=${kubeconfig}`, 'apply', '-f', namespace],
      [...helm, 'install', 'postern-crds', chart('postern-crds')],
      [
        ...[...helm, 'install', 'postern', chart('postern')],
        ...['--set', `image.repository=${repository}`, '--set', `image.tag=${tag}`],
      ],
    ];
    for (const [program, ...args] of commands) {
      const { code, stderr } = await runCommand(
        requireProgram(program === 'helm' ? 'helm' : 'kubectl'),
        args,
      );
      if (code !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A namespace that takes pods of the Pod Security level "restricted" only, and warns of nothing less. */
export function restrictedNamespace(
  name: string,
  annotations: Readonly<Record<string, string>> = {},
): object {
  const level = (mode: string) => [`pod-security.kubernetes.io/${mode}`, 'restricted'] as const;
  const labels = Object.fromEntries(['enforce', 'warn', 'audit'].map(level));
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels, annotations } };
}
