// A cluster with the charts of the administrator, the operator as they set it up, and Argo CD.
import { kinds } from '../../operator/api/index.ts';
import { type OperatorOptions, type RunningOperator, startOperator } from '../../operator/operator.ts';
import { installOperator, operatorAccount, operatorNamespace } from '../charts/install.ts';
import { type ControlPlane, startControlPlane } from '../cluster/control-plane.ts';
import { Api, type KubeObject, paths } from '../kubernetes/api.ts';
import { type ArgoCd, argoCdIdentity, startArgoCd } from './argo-cd.ts';
import { ensureArgoCd } from './install.ts';

/** Milliseconds for a first build of Argo CD on a busy machine, and for everything to start. */
export const worldTimeoutMs = 3_600_000;

export interface World {
  readonly controlPlane: ControlPlane;
  readonly argoCd: ArgoCd;
  /** Everything is allowed through it. */
  readonly admin: Api;
  /** Ends whatever has been started. */
  stop(): Promise<void>;
}

/** Ends one after the other, all of them whatever happens. @throws AggregateError with what went wrong */
export async function endAll(ends: readonly (() => Promise<void> | void | undefined)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const end of ends) {
    try {
      await end();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0)
    throw new AggregateError(failures, `not everything ended in order: ${failures.join('; ')}`);
}

/** Installs what is missing on the machine and starts it all. @param options of the operator */
export async function startWorld(options: Partial<OperatorOptions> = {}): Promise<World> {
  await ensureArgoCd();
  const ends: (() => Promise<void> | void)[] = [];
  const stop = () => endAll(ends.splice(0).reverse());
  try {
    const controlPlane = await startControlPlane({ identities: [argoCdIdentity] });
    ends.push(() => controlPlane.stop());
    const admin = await Api.from(await controlPlane.kubeconfigFor('admin'));
    ends.push(() => admin.close());
    await installOperator(controlPlane);
    ends.push(startGarbageCollector(admin));
    const operator = await startInstalledOperator(controlPlane, options);
    ends.push(() => operator.stop());
    const argoCd = await startArgoCd(controlPlane);
    ends.push(() => argoCd.stop());
    return { controlPlane, argoCd, admin, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * A stand-in for the garbage collector, without which nothing goes that is deleted as Argo CD deletes: in the foreground, when all
 * that depends on it has gone. Nothing depends on an object of ours.
 */
function startGarbageCollector(admin: Api): () => Promise<void> {
  const stopped = new AbortController();
  const failures: unknown[] = [];
  const collect = async ({ metadata }: KubeObject, plural: string): Promise<void> => {
    const { namespace, name, resourceVersion, deletionTimestamp } = metadata;
    const finalizers = metadata.finalizers.filter((finalizer) => finalizer !== 'foregroundDeletion');
    if (deletionTimestamp === undefined || finalizers.length === metadata.finalizers.length) return;
    const patch = { metadata: { finalizers, resourceVersion } };
    // Changed meanwhile or gone: the next event tells.
    await admin
      .mergePatch(paths.postern(namespace, plural, name), patch)
      .catch((error: unknown) => /answered (404|409)/.test(String(error)) || failures.push(error));
  };
  const watching = kinds.map(({ plural }) =>
    admin.watch(`/apis/postern.dev/v1alpha1/${plural}`, stopped.signal, (object, type) => {
      if (type !== 'DELETED') void collect(object, plural);
    }),
  );
  return async () => {
    stopped.abort();
    await Promise.all(watching);
    if (failures.length > 0)
      throw new AggregateError(failures, 'the stand-in for the garbage collector failed');
  };
}

/** With the token, and so with the rights, of the pod that the chart makes; it serves the whole cluster. */
async function startInstalledOperator(
  controlPlane: ControlPlane,
  options: Partial<OperatorOptions>,
): Promise<RunningOperator> {
  return startOperator({
    kubeconfig: await controlPlane.kubeconfigForServiceAccount(operatorNamespace, operatorAccount),
    namespaces: 'all',
    class: '',
    http: { host: '127.0.0.1', port: 0 },
    leaderElect: false,
    ownNamespace: operatorNamespace,
    clusterDomain: 'cluster.local',
    resolvers: [],
    allowedRouteRanges: ['127.0.0.0/8'],
    // A write that meets Argo CD's own is an error to log, and is tried again.
    logLevel: 'silent',
    slowPollMs: 500,
    ...options,
  });
}
