import { describe, expect, test } from 'vitest';
import { type Manifest, render, renders } from './helm.ts';
import { faultsOf } from './rules.ts';

describe('rules of kube-linter, kube-score and polaris', () => {
  test.each(renders)('CH8: $chart with $file breaks none', async ({ chart, file }) => {
    expect(faultsOf(await render(chart, { files: [file] }))).toEqual([]);
  });

  // What a careless edit of a template would do, and the rule that has to notice. Each edit is made on the text of the render.
  const edits: [string, RegExp, string, string][] = [
    [
      'mismatching-selector',
      /"matchLabels":\{"app.kubernetes.io\/name":"postern-mta"/,
      '"matchLabels":{"app.kubernetes.io/name":"other"',
      'StatefulSet',
    ],
    [
      'host-namespaces',
      /"automountServiceAccountToken":false/,
      '"automountServiceAccountToken":false,"hostNetwork":true',
      'StatefulSet',
    ],
    [
      'sensitive-host-mounts',
      /"volumes":\[/,
      '"volumes":[{"name":"sock","hostPath":{"path":"/run"}},',
      'StatefulSet',
    ],
    ['run-as-non-root', /"runAsUser":65532/, '"runAsUser":1000', 'StatefulSet'],
    ['seccomp', /RuntimeDefault/, 'Unconfined', 'StatefulSet'],
    [
      'unsafe-sysctls',
      /"runAsNonRoot":true/,
      '"runAsNonRoot":true,"sysctls":[{"name":"kernel.msgmax"}]',
      'StatefulSet',
    ],
    [
      'automount-service-account-token',
      /"automountServiceAccountToken":false/,
      '"automountServiceAccountToken":true',
      'StatefulSet',
    ],
    [
      'default-service-account',
      /"serviceAccountName":"mail"/,
      '"serviceAccountName":"default"',
      'StatefulSet',
    ],
    ['no-anti-affinity', /"podAntiAffinity"/, '"podAffinity"', 'StatefulSet'],
    ['topology-spread', /"topologySpreadConstraints"/, '"other"', 'StatefulSet'],
    [
      'non-isolated-pod',
      /"app.kubernetes.io\/component":"mta"\}\},"policyTypes"/,
      '"app.kubernetes.io/component":"x"}},"policyTypes"',
      'NetworkPolicy',
    ],
    ['pod-disruption-budget', /AlwaysAllow/, 'IfHealthyBudget', 'PodDisruptionBudget'],
    ['latest-tag', /"image":"postern:[^"]+"/, '"image":"postern:latest"', 'StatefulSet'],
    ['unset-resources', /"cpu":"2",/, '', 'StatefulSet'],
    [
      'privilege-escalation',
      /"allowPrivilegeEscalation":false/,
      '"allowPrivilegeEscalation":true',
      'StatefulSet',
    ],
    ['privileged-container', /"privileged":false/, '"privileged":true', 'StatefulSet'],
    [
      'no-read-only-root-fs',
      /"readOnlyRootFilesystem":true/,
      '"readOnlyRootFilesystem":false',
      'StatefulSet',
    ],
    ['capabilities', /"drop":\["ALL"\]/, '"drop":["ALL"],"add":["NET_BIND_SERVICE"]', 'StatefulSet'],
    [
      'duplicate-env-var',
      /"imagePullPolicy"/,
      '"env":[{"name":"A"},{"name":"A"}],"imagePullPolicy"',
      'StatefulSet',
    ],
    ['env-var-secret', /"imagePullPolicy"/, '"env":[{"name":"API_TOKEN"}],"imagePullPolicy"', 'StatefulSet'],
    ['privileged-ports', /"containerPort":2525/, '"containerPort":25', 'StatefulSet'],
    ['host-port', /"containerPort":2525/, '"containerPort":2525,"hostPort":25', 'StatefulSet'],
    ['no-probes', /"startupProbe"/, '"other"', 'StatefulSet'],
    ['same-probes', /"\/readyz"/, '"/healthz"', 'StatefulSet'],
    ['probe-port', /"path":"\/readyz","port":"http"/, '"path":"/readyz","port":"web"', 'StatefulSet'],
    [
      'dangling-service',
      /"app.kubernetes.io\/component":"mta"\},"ports"/,
      '"app.kubernetes.io/component":"x"},"ports"',
      'Service',
    ],
    ['node-port', /"type":"ClusterIP"/, '"type":"NodePort"', 'Service'],
    ['invalid-target-port', /"targetPort":"smtp"/, '"targetPort":"mail"', 'Service'],
  ];

  const tenant = render('postern-tenant', { files: ['default-values.yaml'] });

  test.each(edits)('%s is noticed', async (rule, pattern, replacement, kind) => {
    const edited = (await tenant).map((manifest): Manifest => {
      const text = JSON.stringify(manifest);
      return manifest.kind === kind ? JSON.parse(text.replace(pattern, replacement)) : manifest;
    });
    expect(faultsOf(edited).map((fault) => fault.split(':')[0])).toContain(rule);
  });

  test.each([
    ['wildcard-in-rules', { verbs: ['*'], resources: ['pods'] }],
    ['pod-exec', { verbs: ['create'], resources: ['pods/exec'] }],
    ['escalation', { verbs: ['escalate'], resources: ['clusterroles'] }],
  ])('%s is noticed', (rule, given) => {
    const metadata = { name: 'x', labels: {}, annotations: {} };
    const role = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata,
      rules: [{ apiGroups: [''], ...given }],
    };
    expect(faultsOf([role])).toEqual([`${rule}: Role/x`]);
  });
});
