import { kinds } from '../../operator/api/index.ts';
import { paths } from '../kubernetes/api.ts';
import { type TestNamespace, waitFor } from '../kubernetes/namespace.ts';

/**
 * Deletes a namespace as the namespace controller does, for which a control plane alone has no process: nothing new may come in, all
 * that is there goes, rights first (the worst order of all that it may take), and when nothing is left the namespace goes itself.
 *
 * @throws Error naming what is left, if a finalizer is not taken off in time
 */
export async function deleteNamespace({ name, admin }: TestNamespace): Promise<void> {
  const rbac = (resource: string) => `/apis/rbac.authorization.k8s.io/v1/namespaces/${name}/${resource}`;
  const collections = [
    rbac('rolebindings'),
    rbac('roles'),
    ...['pods', 'configmaps', 'secrets', 'serviceaccounts'].map((resource) => paths.core(name, resource)),
    paths.apps(name, 'statefulsets'),
    ...kinds.map(({ plural }) => paths.postern(name, plural)),
    `/apis/events.k8s.io/v1/namespaces/${name}/events`,
  ];
  const own = `/api/v1/namespaces/${name}`;
  await admin.remove(own);
  await waitFor(
    `namespace ${name} to be empty`,
    async () => {
      const left: string[] = [];
      for (const collection of collections) {
        await admin.remove(collection);
        left.push(...(await admin.list(collection)).map(({ metadata }) => `${collection}/${metadata.name}`));
      }
      return left;
    },
    (left) => left.length === 0,
  );
  const namespace = await admin.get(own);
  const answer = await admin.request('PUT', `${own}/finalize`, { ...namespace, spec: { finalizers: [] } });
  if (answer.status !== 200) throw new Error(`namespace ${name} stays: ${JSON.stringify(answer.body)}`);
  await waitFor(
    `namespace ${name} to be gone`,
    () => admin.get(own),
    (found) => found === undefined,
  );
}
