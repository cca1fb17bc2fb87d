import { type OperatorOptions, type RunningOperator, startOperator } from '../../operator/operator.ts';
import type { TestNamespace } from './namespace.ts';

/**
 * Starts the operator in this process, under its own ServiceAccount.
 *
 * @param server of a proxy in front of the API server
 */
export async function startOperatorIn(
  space: TestNamespace,
  options: Partial<OperatorOptions> = {},
  server?: string,
): Promise<RunningOperator> {
  return startOperator({
    kubeconfig: await space.operatorKubeconfig(server),
    namespaces: [space.name],
    class: '',
    http: { host: '127.0.0.1', port: 0 },
    leaderElect: false,
    ownNamespace: space.name,
    clusterDomain: 'cluster.local',
    // Nobody listens there: no test asks the name servers of the machine about its domains.
    resolvers: ['127.0.0.1:9'],
    allowedRouteRanges: ['127.0.0.0/8'],
    logLevel: 'error',
    ...options,
  });
}
