// A cluster with the charts of the administrator, the operator as they set it up, and Argo CD.
import { type OperatorOptions, type RunningOperator, startOperator } from '../../operator/operator.ts';
import { installOperator, operatorAccount, operatorNamespace } from '../charts/install.ts';
import { type ControlPlane, startControlPlane } from '../cluster/control-plane.ts';
import { Api } from '../kubernetes/api.ts';
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

/** Installs what is missing on the machine and starts it all. @param options of the operator */
export async function startWorld(options: Partial<OperatorOptions> = {}): Promise<World> {
  await ensureArgoCd();
  const ends: (() => Promise<void> | void)[] = [];
  const stop = async () => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    const controlPlane = await startControlPlane({ identities: [argoCdIdentity] });
    ends.push(() => controlPlane.stop());
    const admin = await Api.from(await controlPlane.kubeconfigFor('admin'));
    ends.push(() => admin.close());
    await installOperator(controlPlane);
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
    logLevel: 'error',
    slowPollMs: 500,
    ...options,
  });
}
