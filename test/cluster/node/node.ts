// kubelet, kube-proxy and the DNS of the cluster on the machine; the controllers beside the API server.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Child } from '../child.ts';
import { startChild } from '../child.ts';
import type { ControlPlane, Identity } from '../control-plane.ts';
import { requireProgram } from '../programs.ts';
import { clusterDomain, nodeAddress, podRange } from './addresses.ts';
import { containerdSocket } from './containerd.ts';
import { cgroupName, type Machine } from './machine.ts';

export const nodeName = 'node-1';
const kubeletUser = `system:node:${nodeName}`;
const dnsUser = 'cluster-dns';

/** Who must be able to log in at the control plane. What the first four may do comes with Kubernetes. */
export const nodeIdentities: readonly Identity[] = [
  { name: kubeletUser, groups: ['system:nodes'] },
  { name: 'system:kube-proxy', groups: [] },
  { name: 'system:kube-controller-manager', groups: [] },
  { name: 'system:kube-scheduler', groups: [] },
  { name: dnsUser, groups: [] },
];

/** Starts the controller manager and the scheduler on this machine. */
export async function startControllers(controlPlane: ControlPlane): Promise<Child[]> {
  const common = async (user: string) => [
    `--kubeconfig=${await controlPlane.kubeconfigFor(user)}`,
    '--leader-elect=false',
    // No port: nobody asks them anything.
    '--secure-port=0',
  ];
  return [
    startChild(requireProgram('kube-controller-manager'), [
      ...(await common('system:kube-controller-manager')),
      '--use-service-account-credentials',
      `--service-account-private-key-file=${controlPlane.serviceAccountKeyFile}`,
      `--root-ca-file=${controlPlane.tls.certFile}`,
    ]),
    startChild(requireProgram('kube-scheduler'), await common('system:kube-scheduler')),
  ];
}

/** Starts what a node runs, in this order: DNS, kubelet, kube-proxy. containerd must run. */
export async function startNodePrograms(
  machine: Machine,
  controlPlane: ControlPlane,
  folder: string,
): Promise<Child[]> {
  return [
    await startDns(machine, controlPlane, folder),
    await startKubelet(machine, controlPlane, folder),
    machine.start(
      requireProgram('kube-proxy'),
      [
        `--kubeconfig=${await controlPlane.kubeconfigFor('system:kube-proxy')}`,
        `--hostname-override=${nodeName}`,
        '--proxy-mode=iptables',
        `--cluster-cidr=${podRange}`,
        // Settings of the whole machine, which a namespace may not write.
        '--conntrack-max-per-core=0',
        '--conntrack-tcp-timeout-established=0',
        '--conntrack-tcp-timeout-close-wait=0',
      ],
      { name: 'kube-proxy' },
    ),
  ];
}

async function startKubelet(machine: Machine, controlPlane: ControlPlane, folder: string): Promise<Child> {
  const config = join(folder, 'kubelet.json');
  const path = (name: string) => join(folder, name);
  await writeFile(
    config,
    JSON.stringify({
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      // Only this machine reaches it, and only as long as the tests run.
      authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
      authorization: { mode: 'AlwaysAllow' },
      cgroupDriver: 'cgroupfs',
      cgroupRoot: `/${cgroupName}`,
      failCgroupV1: false,
      failSwapOn: false,
      containerRuntimeEndpoint: `unix://${containerdSocket}`,
      clusterDNS: [nodeAddress],
      clusterDomain,
      podLogsDir: path('pod-logs'),
      volumePluginDir: path('volume-plugins'),
      oomScoreAdj: 0,
      maxOpenFiles: 10_000,
      evictionHard: {
        'memory.available': '50Mi',
        'nodefs.available': '1%',
        'nodefs.inodesFree': '1%',
        'imagefs.available': '1%',
      },
      imageGCHighThresholdPercent: 100,
      imageGCLowThresholdPercent: 99,
    }),
  );
  await mkdir(path('kubelet'), { recursive: true });
  return machine.start(
    requireProgram('kubelet'),
    [
      `--config=${config}`,
      `--kubeconfig=${await controlPlane.kubeconfigFor(kubeletUser)}`,
      `--root-dir=${path('kubelet')}`,
      `--cert-dir=${path('kubelet-pki')}`,
      `--hostname-override=${nodeName}`,
      `--node-ip=${nodeAddress}`,
    ],
    { name: 'kubelet' },
  );
}

/** Names of Services and pods; everything else does not exist. */
async function startDns(machine: Machine, controlPlane: ControlPlane, folder: string): Promise<Child> {
  const role = JSON.stringify({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: dnsUser },
    rules: [
      { apiGroups: [''], resources: ['services', 'namespaces', 'pods'], verbs: ['list', 'watch'] },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
    ],
  });
  for (const [args, stdin] of [
    [['apply', '-f', '-'], role],
    [['create', 'clusterrolebinding', dnsUser, `--clusterrole=${dnsUser}`, `--user=${dnsUser}`], undefined],
  ] as const) {
    const { code, stderr } = await controlPlane.kubectl('admin', args, stdin);
    if (code !== 0) throw new Error(`the rights of the DNS: ${stderr}`);
  }
  const corefile = join(folder, 'Corefile');
  await writeFile(
    corefile,
    `.:53 {
  errors
  kubernetes ${clusterDomain} {
    kubeconfig ${await controlPlane.kubeconfigFor(dnsUser)}
    ttl 1
  }
}
`,
  );
  const child = machine.start(requireProgram('coredns'), ['-conf', corefile], { name: 'coredns' });
  await child.ready(async () => /^CoreDNS-/m.test(child.log()), 30_000);
  return child;
}
