import * as z from 'zod';
import type { Manifest } from './helm.ts';

const probe = z.looseObject({
  httpGet: z.object({ path: z.string(), port: z.union([z.string(), z.int()]) }),
});
const quantities = z.record(z.string(), z.string());

const container = z.looseObject({
  name: z.string(),
  image: z.string(),
  imagePullPolicy: z.string(),
  args: z.array(z.string()).default([]),
  env: z.array(z.looseObject({ name: z.string() })).default([]),
  ports: z
    .array(z.looseObject({ name: z.string(), containerPort: z.int(), hostPort: z.int().optional() }))
    .default([]),
  lifecycle: z.looseObject({ preStop: z.looseObject({ sleep: z.object({ seconds: z.int() }) }) }).optional(),
  livenessProbe: probe.optional(),
  readinessProbe: probe.optional(),
  startupProbe: probe.optional(),
  resources: z.object({ requests: quantities, limits: quantities }),
  securityContext: z.looseObject({
    allowPrivilegeEscalation: z.boolean(),
    readOnlyRootFilesystem: z.boolean(),
    privileged: z.boolean(),
    capabilities: z.object({ drop: z.array(z.string()), add: z.array(z.string()).default([]) }),
  }),
  volumeMounts: z
    .array(z.looseObject({ name: z.string(), mountPath: z.string(), subPath: z.string().optional() }))
    .default([]),
});

const source = z.looseObject({
  configMap: z.looseObject({ name: z.string(), optional: z.boolean().optional() }).optional(),
  secret: z.looseObject({ name: z.string(), optional: z.boolean().optional() }).optional(),
  serviceAccountToken: z.looseObject({ expirationSeconds: z.int() }).optional(),
});

const podSpec = z.looseObject({
  serviceAccountName: z.string(),
  automountServiceAccountToken: z.boolean(),
  hostNetwork: z.boolean().default(false),
  hostPID: z.boolean().default(false),
  hostIPC: z.boolean().default(false),
  terminationGracePeriodSeconds: z.int().optional(),
  securityContext: z.looseObject({
    runAsNonRoot: z.boolean(),
    runAsUser: z.int(),
    runAsGroup: z.int(),
    fsGroup: z.int(),
    seccompProfile: z.object({ type: z.string() }),
    sysctls: z.array(z.unknown()).default([]),
  }),
  containers: z.array(container),
  volumes: z
    .array(
      z.looseObject({
        name: z.string(),
        hostPath: z.unknown().optional(),
        projected: z.looseObject({ sources: z.array(source) }).optional(),
        configMap: z.looseObject({ name: z.string(), optional: z.boolean().optional() }).optional(),
        secret: z.looseObject({ secretName: z.string(), optional: z.boolean().optional() }).optional(),
        emptyDir: z.looseObject({ sizeLimit: z.string() }).optional(),
      }),
    )
    .default([]),
  affinity: z.looseObject({ podAntiAffinity: z.unknown().optional() }).optional(),
  topologySpreadConstraints: z.array(z.unknown()).default([]),
});

const template = z.looseObject({
  metadata: z.looseObject({
    labels: z.record(z.string(), z.string()),
    annotations: z.record(z.string(), z.string()).default({}),
  }),
  spec: podSpec,
});

const workloadSpec = z.looseObject({
  replicas: z.int(),
  selector: z.object({ matchLabels: z.record(z.string(), z.string()) }),
  template,
});

export type PodSpec = z.infer<typeof podSpec>;
export type Container = z.infer<typeof container>;

/** Something that has pods: a Deployment, a StatefulSet, or a Pod itself. */
export interface Workload {
  readonly manifest: Manifest;
  readonly labels: Readonly<Record<string, string>>;
  /** Undefined for a Pod. */
  readonly selector: Readonly<Record<string, string>> | undefined;
  readonly pod: PodSpec;
}

/** The workloads among rendered objects, with every field that the rules look at. @throws ZodError if one is missing. */
export function workloadsOf(manifests: readonly Manifest[]): Workload[] {
  return manifests.flatMap((manifest): Workload[] => {
    if (manifest.kind === 'Pod') {
      const { spec } = z.looseObject({ spec: podSpec }).parse(manifest);
      return [{ manifest, labels: manifest.metadata.labels, selector: undefined, pod: spec }];
    }
    if (manifest.kind !== 'Deployment' && manifest.kind !== 'StatefulSet') return [];
    const { spec } = z.looseObject({ spec: workloadSpec }).parse(manifest);
    return [
      {
        manifest,
        labels: spec.template.metadata.labels,
        selector: spec.selector.matchLabels,
        pod: spec.template.spec,
      },
    ];
  });
}

/** Whether a label selector finds these labels. */
export function selects(
  selector: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}
