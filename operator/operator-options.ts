import { parseArgs } from 'node:util';
import { parseRange } from '../policy/ip/range.ts';

/** How the operator runs, as given on its command line. */
export interface OperatorFlags {
  readonly kubeconfig?: string;
  /** Namespaces to serve, or all. */
  readonly namespaces: readonly string[] | 'all';
  /** Value of the label postern.dev/class; empty: StatefulSets without it. */
  readonly class: string;
  /** Where /healthz, /readyz and /metrics are served. */
  readonly http: { readonly host: string; readonly port: number };
  readonly leaderElect: boolean;
  readonly clusterDomain: string;
  /** Recursive resolvers, `address:port`; empty: those of the machine. */
  readonly resolvers: readonly string[];
  /** CIDRs that Routes may lead to although they are loopback, link-local or the API server's (R7). */
  readonly allowedRouteRanges: readonly string[];
  /** Addresses of nodes, pods and Services, besides loopback (G14); undefined: nobody looks. */
  readonly clusterRanges?: readonly string[];
  readonly logLevel: LogLevel;
}

const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
type LogLevel = (typeof logLevels)[number];

/** What a proxy on the same machine has for an address. */
const loopback = ['127.0.0.0/8', '::1/128'];

/** Text for `--help`. */
export const operatorUsage = `Usage: postern operator --namespaces a,b|all [flags]
  --kubeconfig FILE            kubeconfig to use (default: $KUBECONFIG, ~/.kube/config, the pod's service account)
  --namespaces a,b|all         namespaces to serve (default: the one of the pod)
  --class NAME                 serve only StatefulSets with the label postern.dev/class=NAME (default: those without it)
  --http ADDRESS:PORT          where /healthz, /readyz and /metrics are served (default 0.0.0.0:8080)
  --leader-elect               take part in the election; only the leader reconciles
  --cluster-domain NAME        DNS domain of the cluster (default cluster.local)
  --resolver ADDRESS[:PORT]    recursive resolver for DKIM checks; may be given several times (default: the machine's)
  --allow-route-range CIDR     range that Routes may lead to although it is loopback, link-local or the API server's
  --cluster-range CIDR         addresses of nodes, pods or Services, which say nothing about a client; loopback is one anyway
  --log-level LEVEL            ${logLevels.join(', ')} (default info)
`;

/**
 * Reads the command line.
 *
 * @param defaultNamespace namespace of the operator's own pod, if it runs in one
 * @throws Error that names the flag and its value
 */
export function parseOperatorFlags(
  argv: readonly string[],
  defaultNamespace: string | undefined,
): OperatorFlags {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      kubeconfig: { type: 'string' },
      namespaces: { type: 'string' },
      class: { type: 'string', default: '' },
      http: { type: 'string', default: '0.0.0.0:8080' },
      'leader-elect': { type: 'boolean', default: false },
      'cluster-domain': { type: 'string', default: 'cluster.local' },
      resolver: { type: 'string', multiple: true, default: [] },
      'allow-route-range': { type: 'string', multiple: true, default: [] },
      'cluster-range': { type: 'string', multiple: true, default: [] },
      'log-level': { type: 'string', default: 'info' },
    },
  });
  return {
    ...(values.kubeconfig === undefined ? {} : { kubeconfig: values.kubeconfig }),
    namespaces: readNamespaces(values.namespaces ?? defaultNamespace),
    class: values.class,
    http: readAddress('--http', values.http),
    leaderElect: values['leader-elect'],
    clusterDomain: values['cluster-domain'],
    resolvers: values.resolver.map((resolver) =>
      /^\[.*\]:\d+$|^[^:]*:\d+$/.test(resolver) ? resolver : withPort(resolver),
    ),
    allowedRouteRanges: values['allow-route-range'],
    clusterRanges: [...loopback, ...readRanges('--cluster-range', values['cluster-range'])],
    logLevel: readLevel(values['log-level']),
  };
}

function readNamespaces(text: string | undefined): readonly string[] | 'all' {
  if (text === 'all') return 'all';
  const names = (text ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (names.length === 0)
    throw new Error('--namespaces is needed outside of a pod: name them, separated by commas, or say "all"');
  const wrong = names.find((name) => !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name));
  if (wrong !== undefined) throw new Error(`--namespaces: "${wrong}" is no name of a namespace`);
  return [...new Set(names)];
}

function readAddress(flag: string, text: string): { host: string; port: number } {
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  const port = Number(text.slice(colon + 1));
  if (colon < 1 || !Number.isInteger(port) || port < 0 || port > 65_535)
    throw new Error(`${flag}: "${text}" is not ADDRESS:PORT`);
  return { host, port };
}

function readRanges(flag: string, texts: readonly string[]): readonly string[] {
  const wrong = texts.find((text) => parseRange(text) === undefined);
  if (wrong !== undefined) throw new Error(`${flag}: "${wrong}" is no address and no CIDR`);
  return texts;
}

function withPort(address: string): string {
  return address.includes(':') ? `[${address}]:53` : `${address}:53`;
}

function readLevel(text: string): LogLevel {
  const level = logLevels.find((known) => known === text);
  if (level === undefined) throw new Error(`--log-level: "${text}" is none of ${logLevels.join(', ')}`);
  return level;
}
