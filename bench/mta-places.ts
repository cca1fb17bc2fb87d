import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';
import { startControlPlane } from '../test/cluster/control-plane.ts';
import { ensurePrograms } from '../test/cluster/install.ts';
import { clientAddresses } from '../test/cluster/node/addresses.ts';
import { requireProgram } from '../test/cluster/programs.ts';
import { runCommand } from '../test/cluster/run-command.ts';
import { restrictedNamespace } from '../test/e2e/setup.ts';
import { image } from '../test/image/built-image.ts';
import { Api, paths } from '../test/kubernetes/api.ts';
import { Kubelet } from '../test/kubernetes/kubelet.ts';
import { crdFolder, TestNamespace, tenant } from '../test/kubernetes/namespace.ts';
import { startOperatorProcess } from '../test/kubernetes/operator.ts';
import { type Sink, startSink } from '../test/wire/sink.ts';

const pods = ['mail-0', 'mail-1'];
const heloName = 'mx.bench.example';

interface Address {
  readonly host: string;
  readonly port: number;
}

/** A namespace with an operator, two MTA pods, and a Route `store` that takes all mail. */
export interface Place {
  /** What is real and what is played. */
  readonly how: string;
  readonly namespace: string;
  readonly admin: Api;
  /** SMTP of each pod. */
  readonly pods: readonly Address[];
  /** Where clients send their mail. */
  readonly fronts: readonly Address[];
  /** An address of this machine that no list has. */
  readonly stranger: string;
  /** `kubectl apply`. */
  apply(...objects: readonly object[]): Promise<void>;
}

/**
 * API server, kubectl, operator and MTAs are real processes. Kubelet is played: a pod's volume is written as soon as the operator
 * touches the pod.
 */
export async function withProcesses<T>(work: (place: Place) => Promise<T>): Promise<T> {
  await ensurePrograms();
  await using sink = await startSink();
  const controlPlane = await startControlPlane({ identities: [tenant] });
  try {
    await controlPlane.installCrds(crdFolder);
    await controlPlane.createNamespace('bench');
    const space = await TestNamespace.prepare(controlPlane, 'bench');
    // The stranger's address is the cluster's own (G14).
    const settings = `heloName: ${heloName}\ntrustedRanges: [127.0.0.0/8]\n`;
    await space.admin.mergePatch(paths.core(space.name, 'configmaps', 'postern-mta-default'), {
      data: { 'mta.yaml': settings },
    });
    const kubelet = await Kubelet.start(space.admin, space.name, 'default', pods.length);
    const flags = ['--namespaces', space.name, '--allow-route-range', '127.0.0.0/8', '--log-level', 'warn'];
    const operator = await startOperatorProcess(space, flags);
    try {
      await Promise.all(pods.map((pod) => kubelet.addPod(pod)));
      const spec = storeAt('127.0.0.1', sink);
      await space.apply({ ...postern, kind: 'Route', metadata: { name: 'store' }, spec });
      const addresses = pods.map((pod) => kubelet.smtpOf(pod));
      return await work({
        how: 'kubelet played, a node takes 0.2 to 0.5 s more',
        namespace: space.name,
        admin: space.admin,
        pods: addresses,
        fronts: addresses,
        stranger: '127.0.2.1',
        apply: (...objects) => space.apply(...objects),
      });
    } finally {
      await operator.stop();
      await kubelet.stop();
      space.admin.close();
    }
  } finally {
    await controlPlane.stop();
  }
}

const access = z.object({ kubeconfigs: z.object({ admin: z.string() }) });
const service = z.object({ spec: z.object({ clusterIP: z.string() }) });
const pod = z.object({ status: z.object({ podIP: z.string() }) });

/** In the cluster that test/e2e/up.ts keeps running, as its charts install it. @param file POSTERN_E2E_CLUSTER */
export async function withNode<T>(file: string, work: (place: Place) => Promise<T>): Promise<T> {
  const { kubeconfigs } = access.parse(JSON.parse(await readFile(file, 'utf8')));
  const [sinkAddress = '', stranger = ''] = clientAddresses;
  const namespace = 'bench';
  const run = async (program: 'kubectl' | 'helm', args: readonly string[], stdin?: string) => {
    const all = [`--kubeconfig=${kubeconfigs.admin}`, `--namespace=${namespace}`, ...args];
    const { code, stderr } = await runCommand(requireProgram(program), all, stdin);
    if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stderr.trim()}`);
  };
  await using sink = await startSink({ host: sinkAddress });
  const admin = await Api.from(kubeconfigs.admin);
  const folder = await mkdtemp(join(tmpdir(), 'postern-bench-'));
  try {
    await admin.create('/api/v1/namespaces', restrictedNamespace(namespace));
    const [repository, tag] = image.split(':');
    const values = {
      image: { repository, tag },
      replicas: pods.length,
      settings: { heloName },
      resources: { requests: { cpu: '10m', memory: '64Mi' } },
      objects: { routes: { store: storeAt(sinkAddress, sink) } },
    };
    await writeFile(join(folder, 'values.json'), JSON.stringify(values));
    const chart = join(import.meta.dirname, '../charts/postern-tenant');
    const flags = [`--values=${join(folder, 'values.json')}`, '--wait', '--timeout=3m'];
    await run('helm', ['install', 'mail', chart, ...flags]);
    const front = service.parse(await admin.get(paths.core(namespace, 'services', 'mail'))).spec.clusterIP;
    const found = await Promise.all(
      pods.map(async (name) => pod.parse(await admin.get(paths.core(namespace, 'pods', name)))),
    );
    return await work({
      how: 'a real node',
      namespace,
      admin,
      pods: found.map(({ status }) => ({ host: status.podIP, port: 2525 })),
      fronts: [{ host: front, port: 25 }],
      stranger,
      apply: (...objects) =>
        run('kubectl', ['apply', '-f', '-'], objects.map((one) => JSON.stringify(one)).join('\n---\n')),
    });
  } finally {
    await run('kubectl', ['delete', 'namespace', namespace, '--wait=false', '--ignore-not-found']);
    admin.close();
    await rm(folder, { recursive: true });
  }
}

const postern = { apiVersion: 'postern.dev/v1alpha1' };
const storeAt = (host: string, { port }: Sink) => ({ host, port, tls: { mode: 'Disabled' } });
