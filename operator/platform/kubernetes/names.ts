import { mtaConfigMapName } from '../../api/index.ts';

/** Names, labels and annotations that the operator, the charts and the MTA pods agree on. */

/** Field manager of every server-side apply, and `app.kubernetes.io/managed-by` of every rendered object. */
export const managerName = 'postern';

export const labels = {
  managedBy: 'app.kubernetes.io/managed-by',
  /** On the StatefulSet, its pods and everything rendered for them: the name of the MTA. */
  mta: 'postern.dev/mta',
  /** On the StatefulSet: which operator serves it; absent: the one without --class. */
  class: 'postern.dev/class',
} as const;

export const annotations = {
  /** On a pod: `<bundleHash>.<n>`; each new value makes kubelet refresh the pod's volumes at once (44-90 s otherwise). */
  bundle: 'postern.dev/bundle',
  /** On the pod template: the cold configuration that the pods start with; a new value rolls the StatefulSet. */
  configHash: 'postern.dev/config-hash',
  /** On the pod template: why the last roll happened. */
  rolledFor: 'postern.dev/rolled-for',
  /** On a pod: the port of GET /state where no container port is called `http`. */
  statePort: 'postern.dev/state-port',
  /** On the claim of a queue volume: how many mails the pod left there that was scaled away. */
  queued: 'postern.dev/queued',
  /** On a namespace: the domains it may have, `example.com,*.example.org`. */
  domains: 'postern.dev/domains',
} as const;

/** Guards a Route that a MailDomain or InboundGateway names (only where no admission policy does). */
export const routeFinalizer = 'postern.dev/in-use';

/** Key of the bearer token in the state token Secret. */
export const stateTokenKey = 'token';

/** Default port of GET /state. */
export const defaultStatePort = 8025;

/** ConfigMap of the public shard `NN`. */
export const shardName = (mta: string, number: number): string =>
  `postern-${mta}-${String(number).padStart(2, '0')}`;
export const indexName = (mta: string): string => `postern-${mta}-index`;
/** ConfigMap of the cold configuration files. */
export const configName = (mta: string): string => `postern-${mta}-config`;
export const secretShardName = (mta: string, number: number): string => `postern-${mta}-secret-${number}`;
export const secretIndexName = (mta: string): string => `postern-${mta}-secret-index`;
/** ConfigMap with the settings of whoever installed the MTA; the operator only reads it. */
export const settingsName = mtaConfigMapName;
export const stateTokenName = (mta: string): string => `postern-${mta}-state-token`;

/** Path of namespaced objects of the core group, such as `configmaps`; without a name, of the collection. */
export function corePath(namespace: string, resource: string, name?: string): string {
  return `/api/v1/namespaces/${namespace}/${resource}${name === undefined ? '' : `/${name}`}`;
}

/** Path of StatefulSets. */
export function statefulSetPath(namespace: string, name?: string): string {
  return `/apis/apps/v1/namespaces/${namespace}/statefulsets${name === undefined ? '' : `/${name}`}`;
}
