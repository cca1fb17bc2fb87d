import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { type OperatorOptions, type RunningOperator, startOperator } from '../../operator/operator.ts';
import { type Child, startChild } from '../cluster/child.ts';
import { freePort } from '../cluster/free-port.ts';
import type { TestNamespace } from './namespace.ts';

const operatorMain = fileURLToPath(new URL('../../operator/main.ts', import.meta.url));
/** Nobody listens there: no test asks the name servers of the machine about its domains. */
export const resolver = '127.0.0.1:9';

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
    resolvers: [resolver],
    allowedRouteRanges: ['127.0.0.0/8'],
    logLevel: 'error',
    ...options,
  });
}

/** Reconciles so far of an operator, well ended or not. */
export async function reconcilesOf(operator: Pick<RunningOperator, 'httpPort'>): Promise<number> {
  return [...(await reconcilesByTenant(operator)).values()].reduce((sum, count) => sum + count, 0);
}

/** The same by namespace. @param result only those that ended so */
export async function reconcilesByTenant(
  { httpPort }: Pick<RunningOperator, 'httpPort'>,
  result?: 'ok' | 'error',
): Promise<Map<string, number>> {
  const metrics = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
  const counts = new Map<string, number>();
  const lines = metrics.matchAll(/^postern_reconcile_total\{namespace="([^"]*)",result="([^"]*)"\} (\d+)$/gm);
  for (const [, namespace = '', ended, count] of lines)
    if (result === undefined || ended === result)
      counts.set(namespace, (counts.get(namespace) ?? 0) + Number(count));
  return counts;
}

const logLine = z.object({ level: z.int(), msg: z.string() });
/** One line of an operator's log; level as of pino: 20 debug, 30 info, 40 warn, 50 error. */
type LogLine = z.infer<typeof logLine>;

export interface OperatorProcess extends Child {
  readonly lines: readonly LogLine[];
  readonly httpPort: number;
}

/**
 * Starts the operator as a process of its own, under the ServiceAccount of a namespace.
 *
 * @param flags of the command line, besides those that every test needs
 * @param server of a proxy in front of the API server
 * @param graceTenths see ChildOptions: by default stop() is a SIGKILL
 */
export async function startOperatorProcess(
  space: TestNamespace,
  flags: readonly string[],
  server?: string,
  graceTenths = 0,
): Promise<OperatorProcess> {
  const lines: LogLine[] = [];
  const kubeconfig = await space.operatorKubeconfig(server);
  const httpPort = await freePort();
  const http = `127.0.0.1:${httpPort}`;
  const args = [operatorMain, '--kubeconfig', kubeconfig, '--http', http, '--resolver', resolver];
  const child = startChild(process.execPath, [...args, ...flags], {
    name: 'operator',
    graceTenths,
    env: { POD_NAMESPACE: space.name },
    onLine(line) {
      if (line.startsWith('{')) lines.push(logLine.parse(JSON.parse(line)));
    },
  });
  return Object.assign(child, { lines, httpPort });
}
