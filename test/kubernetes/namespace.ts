// A namespace as a cluster admin and the tenant chart leave it: an operator with exactly the rights of operator/crd/rbac.ts, a
// tenant who may edit, and the settings of an MTA.
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { kinds } from '../../operator/api/index.ts';
import { leaderRules, namespaceRules, type PolicyRule } from '../../operator/crd/rbac.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { Api, type KubeObject, paths } from './api.ts';

export const crdFolder = fileURLToPath(new URL('../../crds', import.meta.url));

/** Name of the identity that applies policy; it must be among the identities of the control plane. */
export const tenant = { name: 'anna', groups: ['tenants'] } as const;

const operatorAccount = 'postern-operator';
const pollMs = 50;

export class TestNamespace {
  readonly name: string;
  /** Everything is allowed through it: for what kubelet and the charts do, and for looking. */
  readonly admin: Api;
  private readonly controlPlane: ControlPlane;

  private constructor(controlPlane: ControlPlane, name: string, admin: Api) {
    this.controlPlane = controlPlane;
    this.name = name;
    this.admin = admin;
  }

  /** Prepares an existing namespace. */
  static async prepare(controlPlane: ControlPlane, name: string): Promise<TestNamespace> {
    const admin = await Api.from(await controlPlane.kubeconfigFor('admin'));
    const namespace = new TestNamespace(controlPlane, name, admin);
    await namespace.grant('postern-operator', [...namespaceRules(kinds), ...leaderRules()], {
      kind: 'ServiceAccount',
      name: operatorAccount,
      namespace: name,
    });
    await namespace.grant('tenant', tenantRules, {
      kind: 'User',
      name: tenant.name,
      apiGroup: 'rbac.authorization.k8s.io',
    });
    await namespace.settings('default');
    return namespace;
  }

  /** The ConfigMap that the tenant chart makes from its values. */
  async settings(mta: string, yaml = 'heloName: mx.example.com\n'): Promise<void> {
    const configMap = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: `postern-mta-${mta}` },
      data: { 'mta.yaml': yaml },
    };
    await this.admin.create(paths.core(this.name, 'configmaps'), configMap);
  }

  /** What the operator's pod has. @param server of a proxy in front of the API server */
  operatorKubeconfig(server?: string): Promise<string> {
    return this.controlPlane.kubeconfigForServiceAccount(this.name, operatorAccount, server);
  }

  /** Runs kubectl as the tenant. @returns what it printed. @throws Error if it fails. */
  async kubectl(args: readonly string[], stdin?: string): Promise<string> {
    const { code, stdout, stderr } = await this.controlPlane.kubectl(
      tenant.name,
      ['-n', this.name, ...args],
      stdin,
    );
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** Applies manifests as the tenant. */
  async apply(...manifests: readonly object[]): Promise<void> {
    await this.kubectl(
      ['apply', '-f', '-'],
      manifests.map((manifest) => JSON.stringify(manifest)).join('\n---\n'),
    );
  }

  /** The status of one condition of an object, its reason and message, as `True/Ready: text`. */
  async condition(plural: string, name: string, type: string): Promise<string> {
    const object = await this.admin.get(paths.postern(this.name, plural, name));
    const conditions: unknown = object?.status?.['conditions'];
    const found = (Array.isArray(conditions) ? conditions : []).find((condition) => condition.type === type);
    return found === undefined ? 'none' : `${found.status}/${found.reason}: ${found.message}`;
  }

  /** Waits until a condition reads as expected. @throws Error with what it reads instead, after `deadlineMs`. */
  async waitForCondition(
    plural: string,
    name: string,
    type: string,
    expected: RegExp,
    deadlineMs = 45_000,
  ): Promise<string> {
    return waitFor(
      `${type} of ${plural}/${name} to be ${expected}`,
      () => this.condition(plural, name, type),
      (text) => expected.test(text),
      deadlineMs,
    );
  }

  /** resourceVersion of everything in the namespace that an operator writes, by `resource/name`. */
  async versions(): Promise<Record<string, string>> {
    const collections = [
      ...kinds.map(({ plural }) => [plural, paths.postern(this.name, plural)] as const),
      ...['configmaps', 'secrets', 'pods'].map(
        (resource) => [resource, paths.core(this.name, resource)] as const,
      ),
      ['statefulsets', paths.apps(this.name, 'statefulsets')] as const,
    ];
    const lists = await Promise.all(
      collections.map(async ([resource, path]) =>
        (await this.admin.list(path)).map(
          ({ metadata }) => [`${resource}/${metadata.name}`, metadata.resourceVersion] as const,
        ),
      ),
    );
    return Object.fromEntries(lists.flat());
  }

  private async grant(name: string, rules: readonly PolicyRule[], subject: object): Promise<void> {
    const rbac = (resource: string) =>
      `/apis/rbac.authorization.k8s.io/v1/namespaces/${this.name}/${resource}`;
    await this.admin.create(rbac('roles'), {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name },
      rules,
    });
    await this.admin.create(rbac('rolebindings'), {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
      subjects: [subject],
    });
  }
}

/** Whether a condition of an object is True for the form in which it stands. */
export function isTrue({ status, metadata }: KubeObject, condition: string): boolean {
  const conditions: unknown = status?.['conditions'];
  return (Array.isArray(conditions) ? conditions : []).some(
    ({ type, status: value, observedGeneration }) =>
      type === condition && value === 'True' && observedGeneration === metadata.generation,
  );
}

/** What somebody who may edit a namespace may do there. */
const tenantRules: PolicyRule[] = [
  {
    apiGroups: ['postern.dev'],
    resources: kinds.map(({ plural }) => plural),
    verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'],
  },
  {
    apiGroups: [''],
    resources: ['configmaps', 'secrets'],
    verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'],
  },
];

/**
 * Asks until the answer is accepted.
 *
 * @throws Error with the last answer after `deadlineMs`.
 */
export async function waitFor<T>(
  what: string,
  ask: () => Promise<T> | T,
  accepts: (answer: T) => boolean,
  deadlineMs = 45_000,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (accepts(answer)) return answer;
    if (performance.now() > deadline) {
      throw new Error(
        `waited ${deadlineMs} ms for ${what}; it is ${typeof answer === 'string' ? answer : JSON.stringify(answer)}`,
      );
    }
    await delay(pollMs);
  }
}
