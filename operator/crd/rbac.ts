import { group } from '../api/index.ts';
import type { KindDefinition } from '../api/kind.ts';

/** A rule of a Role or ClusterRole (rbac.authorization.k8s.io/v1). */
export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/**
 * What the operator may do in a namespace that it serves. The tests in test/kubernetes run under exactly this, so a verb that is
 * missing fails them; each that is here is used.
 *
 * - The six kinds are followed, and their statuses applied. Routes and DkimKeys are patched to put a finalizer on them.
 * - Rendered ConfigMaps and Secrets are written by PUT; Secrets are patched to note on a key when its record was verified, or when
 *   it goes.
 * - Pods are patched to make kubelet refresh their volumes, StatefulSets to roll them (two annotations, by admission policy no more).
 * - Claims of queue volumes are patched to note how much mail the pod left that was scaled away (one annotation, by admission policy
 *   no more).
 * - The namespace's own annotation says which domains it may have.
 */
export function namespaceRules(kinds: readonly KindDefinition[]): PolicyRule[] {
  return [
    ...kindRules(kinds),
    {
      apiGroups: [''],
      resources: ['configmaps'],
      verbs: ['get', 'list', 'watch', 'create', 'update', 'delete'],
    },
    {
      apiGroups: [''],
      resources: ['secrets'],
      verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'],
    },
    { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch', 'patch'] },
    { apiGroups: [''], resources: ['persistentvolumeclaims'], verbs: ['list', 'watch', 'patch'] },
    { apiGroups: ['apps'], resources: ['statefulsets'], verbs: ['list', 'watch', 'patch'] },
    { apiGroups: [''], resources: ['namespaces'], verbs: ['get'] },
    { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
  ];
}

/**
 * What an operator of the whole cluster may do everywhere: `postern.dev` alone. Secrets, pods and StatefulSets it gets in the
 * namespaces whose tenant chart binds it to the namespace rules.
 */
export function clusterRules(kinds: readonly KindDefinition[]): PolicyRule[] {
  return kindRules(kinds);
}

/** What `spec.dns.publish: ExternalDNS` needs in a namespace besides; given only where it is used. */
export function externalDnsRules(): PolicyRule[] {
  return [
    {
      apiGroups: ['externaldns.k8s.io'],
      resources: ['dnsendpoints'],
      verbs: ['get', 'create', 'patch', 'delete'],
    },
  ];
}

/** What `--leader-elect` needs in the operator's own namespace. */
export function leaderRules(): PolicyRule[] {
  return [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'create', 'update'] }];
}

function kindRules(kinds: readonly KindDefinition[]): PolicyRule[] {
  return [
    { apiGroups: [group], resources: kinds.map(({ plural }) => plural), verbs: ['list', 'watch'] },
    { apiGroups: [group], resources: kinds.map(({ plural }) => `${plural}/status`), verbs: ['patch'] },
    { apiGroups: [group], resources: ['routes', 'dkimkeys'], verbs: ['patch'] },
  ];
}
