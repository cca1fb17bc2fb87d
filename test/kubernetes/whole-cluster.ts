// Rights of an operator that serves the whole cluster, as charts/postern gives them.
import { kinds } from '../../operator/api/index.ts';
import { clusterRules } from '../../operator/crd/rbac.ts';
import type { TestNamespace } from './namespace.ts';

const rbac = '/apis/rbac.authorization.k8s.io/v1';
const role = (kind: 'Role' | 'ClusterRole') => ({
  apiGroup: 'rbac.authorization.k8s.io',
  kind,
  name: 'postern-operator',
});
const accountOf = ({ name }: TestNamespace) => ({
  kind: 'ServiceAccount',
  name: 'postern-operator',
  namespace: name,
});

/** Lets the operator of a namespace follow the six kinds everywhere; undone by {@link revokeWholeCluster}. */
export async function grantWholeCluster(space: TestNamespace): Promise<void> {
  await space.admin.remove(`${rbac}/clusterroles/postern-operator`);
  await space.admin.create(`${rbac}/clusterroles`, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'postern-operator' },
    rules: clusterRules(kinds),
  });
  await space.admin.create(`${rbac}/clusterrolebindings`, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'postern-operator' },
    roleRef: role('ClusterRole'),
    subjects: [accountOf(space)],
  });
}

export async function revokeWholeCluster(space: TestNamespace): Promise<void> {
  await space.admin.remove(`${rbac}/clusterrolebindings/postern-operator`);
}

/** Lets the operator of another namespace into this one, as the tenant chart does. */
export async function letOperatorIn(space: TestNamespace, operatorOf: TestNamespace): Promise<void> {
  await space.admin.create(`${rbac}/namespaces/${space.name}/rolebindings`, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'let-it' },
    roleRef: role('Role'),
    subjects: [accountOf(operatorOf)],
  });
}
