import type { RoutePolicy } from '../../bundle/route-policy.ts';
import type { TlsDemand } from '../../policy/outbound-tls.ts';
import type { HarakaMail } from '../haraka.ts';
import type { TlsTerms } from './tls-level.ts';

/** Seconds without an answer after which a mail server on the Internet counts as dead (RFC 5321 4.5.3.2). */
const mxTimeoutSeconds = 300;

/** What one delivery attempt has to obey, wherever it goes. */
export interface Terms {
  readonly tls: Omit<TlsTerms, 'serverName'>;
  /** The name under which an address is spoken to. */
  readonly serverName: (address: string) => string;
  readonly authenticated: boolean;
  readonly timeoutSeconds: number;
  /** A 5xx before RCPT: a Route's own trouble, or the answer of the recipient's server. */
  readonly earlyRefusals: 'defer' | 'bounce';
  /** What becomes of a mail whose TLS was not good enough; absent: it waits. */
  readonly onTlsFailure?: (mail: HarakaMail) => 'defer' | 'bounce';
}

/** What a Route asks of TLS, before any TlsPolicy. */
export function tlsTermsOfRoute({ tls, host }: RoutePolicy): TlsTerms {
  return { ...tls, serverName: tls.serverName ?? host };
}

export function termsOfRoute({ tls, host, authenticated, connection }: RoutePolicy): Terms {
  return {
    tls,
    serverName: () => tls.serverName ?? host,
    authenticated,
    timeoutSeconds: connection.timeoutSeconds,
    earlyRefusals: 'defer',
  };
}

/** @param names of the addresses that are tried, as DNS has them: what a certificate must carry. */
export function termsOfMx(names: ReadonlyMap<string, string>): Terms {
  return {
    tls: { mode: 'Opportunistic', verify: 'None' },
    serverName: (address) => names.get(address) ?? address,
    authenticated: false,
    timeoutSeconds: mxTimeoutSeconds,
    earlyRefusals: 'bounce',
  };
}

/**
 * The same terms with what TlsPolicies ask for on top (T8, T13). Requirements add up: what the Route asks for stays.
 * @param now milliseconds since the epoch.
 */
export function strengthened(terms: Terms, demand: TlsDemand | undefined, now: () => number): Terms {
  if (demand === undefined) return terms;
  const { mode } = terms.tls;
  const own = mode === 'Required' || mode === 'Implicit' ? terms.tls : undefined;
  const chain =
    demand.requireTrustedCA || own?.verify === 'TrustedCA' || own?.verify === 'TrustedCAAndHostname';
  const name =
    demand.requireHostnameMatch || own?.verify === 'Hostname' || own?.verify === 'TrustedCAAndHostname';
  return {
    ...terms,
    tls: {
      mode: mode === 'Implicit' ? 'Implicit' : 'Required',
      verify: chain ? (name ? 'TrustedCAAndHostname' : 'TrustedCA') : name ? 'Hostname' : 'None',
      ...trustStores(demand, own),
    },
    onTlsFailure: ({ todo }) =>
      demand.onFailure === 'Bounce' || now() - todo.queue_time >= demand.giveUpAfterSeconds * 1000
        ? 'bounce'
        : 'defer',
  };
}

/** One handshake verifies against one store. Several that must each hold are not weakened to any of them: nothing is trusted. */
function trustStores(
  { caBundles }: TlsDemand,
  own: Terms['tls'] | undefined,
): Pick<TlsTerms, 'caBundle' | 'untrusted'> {
  const ownStore =
    own?.verify === 'TrustedCA' || own?.verify === 'TrustedCAAndHostname' ? [own.caBundle ?? 'System'] : [];
  const stores = [...new Set([...caBundles, ...ownStore])];
  const [store] = stores;
  if (stores.length > 1)
    return { untrusted: 'TLS policies name different trust stores, which one certificate cannot meet' };
  if (store === 'Unavailable') return { untrusted: 'TLS: the trust store of the TlsPolicy cannot be read' };
  return store === undefined || store === 'System' ? {} : { caBundle: store };
}
