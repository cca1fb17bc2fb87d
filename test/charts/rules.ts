// The rules of kube-linter, kube-score and polaris that apply here, over rendered objects: those programs cannot be had from npm
// or Debian. What does not apply, and why:
// - kube-score wants imagePullPolicy Always: images are named by version or digest and may be built on the node itself.
// - kube-score wants an egress NetworkPolicy: mail goes to wherever a Route leads, and the operator asks name servers anywhere.
// - polaris wants priorityClassName: which classes there are is the cluster's to say; values take one.
import * as z from 'zod';
import type { Manifest } from './helm.ts';
import { type Container, selects, type Workload, workloadsOf } from './workload.ts';

const service = z.looseObject({
  spec: z.looseObject({
    type: z.string(),
    clusterIP: z.string().optional(),
    selector: z.record(z.string(), z.string()),
    ports: z.array(z.looseObject({ name: z.string(), targetPort: z.union([z.string(), z.int()]) })),
  }),
});
const selecting = z.looseObject({
  spec: z.looseObject({ selector: z.object({ matchLabels: z.record(z.string(), z.string()) }) }),
});
const disruptionBudget = z.looseObject({
  spec: z.looseObject({
    maxUnavailable: z.int().min(1),
    unhealthyPodEvictionPolicy: z.literal('AlwaysAllow'),
  }),
});
const isolating = z.looseObject({
  spec: z.looseObject({ podSelector: z.object({ matchLabels: z.record(z.string(), z.string()) }) }),
});
const role = z.looseObject({
  rules: z
    .array(
      z.looseObject({
        apiGroups: z.array(z.string()),
        resources: z.array(z.string()),
        verbs: z.array(z.string()),
      }),
    )
    .default([]),
});

/**
 * What is wrong with a rendered chart, in sentences that begin with the name of the rule.
 *
 * @throws ZodError if an object lacks a field that a rule needs
 */
export function faultsOf(manifests: readonly Manifest[]): string[] {
  const workloads = workloadsOf(manifests);
  return [
    ...workloads.flatMap((workload) => podFaults(workload, manifests)),
    ...workloads.flatMap((workload) =>
      workload.pod.containers.flatMap((container) => containerFaults(workload, container)),
    ),
    ...manifests.flatMap((manifest) => serviceFaults(manifest, workloads)),
    ...manifests.flatMap(roleFaults),
  ].sort();
}

function podFaults({ manifest, labels, selector, pod }: Workload, manifests: readonly Manifest[]): string[] {
  const name = `${manifest.kind}/${manifest.metadata.name}`;
  const serves = selector !== undefined;
  const ofKind = (kind: string) => manifests.filter((other) => other.kind === kind);
  const isolated = ofKind('NetworkPolicy').some((policy) =>
    selects(isolating.parse(policy).spec.podSelector.matchLabels, labels),
  );
  const budgeted = ofKind('PodDisruptionBudget').some(
    (budget) =>
      disruptionBudget.safeParse(budget).success &&
      selects(selecting.parse(budget).spec.selector.matchLabels, labels),
  );
  const { securityContext: security } = pod;
  const faults: [boolean, string][] = [
    [serves && !selects(selector, labels), 'mismatching-selector'],
    [pod.hostNetwork || pod.hostPID || pod.hostIPC, 'host-namespaces'],
    [pod.volumes.some(({ hostPath }) => hostPath !== undefined), 'sensitive-host-mounts'],
    [
      !security.runAsNonRoot || security.runAsUser <= 10_000 || security.runAsGroup <= 10_000,
      'run-as-non-root',
    ],
    [security.seccompProfile.type !== 'RuntimeDefault', 'seccomp'],
    [security.sysctls.length > 0, 'unsafe-sysctls'],
    [pod.automountServiceAccountToken, 'automount-service-account-token'],
    [pod.serviceAccountName === 'default', 'default-service-account'],
    [serves && pod.affinity?.podAntiAffinity === undefined, 'no-anti-affinity'],
    [serves && pod.topologySpreadConstraints.length === 0, 'topology-spread'],
    [serves && !isolated, 'non-isolated-pod'],
    [serves && !budgeted, 'pod-disruption-budget'],
  ];
  return faults.filter(([fault]) => fault).map(([, rule]) => `${rule}: ${name}`);
}

function containerFaults({ manifest, selector }: Workload, container: Container): string[] {
  const name = `${manifest.kind}/${manifest.metadata.name}/${container.name}`;
  const serves = selector !== undefined;
  const { resources, securityContext: security } = container;
  const names = container.env.map((variable) => variable.name);
  const ports = container.ports.map((port) => port.name);
  const probes = [container.livenessProbe, container.readinessProbe, container.startupProbe].filter(
    (probe) => probe !== undefined,
  );
  const bounded = (kind: string) =>
    resources.requests[kind] !== undefined && resources.limits[kind] !== undefined;
  const faults: [boolean, string][] = [
    [
      !/(@sha256:[0-9a-f]{64}|:[^:/]+)$/.test(container.image) || container.image.endsWith(':latest'),
      'latest-tag',
    ],
    [!['cpu', 'memory', 'ephemeral-storage'].every(bounded), 'unset-resources'],
    [security.allowPrivilegeEscalation, 'privilege-escalation'],
    [security.privileged, 'privileged-container'],
    [!security.readOnlyRootFilesystem, 'no-read-only-root-fs'],
    [!security.capabilities.drop.includes('ALL') || security.capabilities.add.length > 0, 'capabilities'],
    [new Set(names).size < names.length, 'duplicate-env-var'],
    [names.some((variable) => /password|secret|token|key/i.test(variable)), 'env-var-secret'],
    [
      container.ports.some(({ containerPort }) => containerPort < 1024 || containerPort === 22),
      'privileged-ports',
    ],
    [container.ports.some(({ hostPort }) => hostPort !== undefined), 'host-port'],
    [serves && probes.length < 3, 'no-probes'],
    [
      serves && container.livenessProbe?.httpGet.path === container.readinessProbe?.httpGet.path,
      'same-probes',
    ],
    [probes.some(({ httpGet: { port } }) => typeof port !== 'string' || !ports.includes(port)), 'probe-port'],
  ];
  return faults.filter(([fault]) => fault).map(([, rule]) => `${rule}: ${name}`);
}

function serviceFaults(manifest: Manifest, workloads: readonly Workload[]): string[] {
  if (manifest.kind !== 'Service') return [];
  const { spec } = service.parse(manifest);
  const served = workloads.filter(({ labels }) => selects(spec.selector, labels));
  const ports = new Set(
    served.flatMap(({ pod }) =>
      pod.containers.flatMap((container) => container.ports.map(({ name }) => name)),
    ),
  );
  const faults: [boolean, string][] = [
    [served.length === 0, 'dangling-service'],
    [spec.type === 'NodePort', 'node-port'],
    [
      spec.ports.some(({ targetPort }) => typeof targetPort !== 'string' || !ports.has(targetPort)),
      'invalid-target-port',
    ],
  ];
  return faults.filter(([fault]) => fault).map(([, rule]) => `${rule}: Service/${manifest.metadata.name}`);
}

function roleFaults(manifest: Manifest): string[] {
  if (manifest.kind !== 'Role' && manifest.kind !== 'ClusterRole') return [];
  const { rules } = role.parse(manifest);
  const words = rules.flatMap(({ apiGroups, resources, verbs }) => [...apiGroups, ...resources, ...verbs]);
  const faults: [boolean, string][] = [
    [words.some((word) => word.includes('*')), 'wildcard-in-rules'],
    [
      rules.some(({ resources }) =>
        resources.some((resource) => /^pods\/(exec|attach|portforward)$/.test(resource)),
      ),
      'pod-exec',
    ],
    [rules.some(({ verbs }) => verbs.includes('escalate') || verbs.includes('impersonate')), 'escalation'],
  ];
  return faults
    .filter(([fault]) => fault)
    .map(([, rule]) => `${rule}: ${manifest.kind}/${manifest.metadata.name}`);
}
