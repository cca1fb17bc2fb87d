import type { OutboundTls } from '../bundle/domain-policy.ts';
import type { InheritedTls, Leg } from '../bundle/leg.ts';
import { canonicalDomain, parseMailbox } from './mailbox.ts';
import { findPeer } from './peer-table.ts';
import type { Policy } from './policy.ts';

/** What the TlsPolicies of a sending domain ask of the way to one recipient domain. */
export type TlsDemand = Omit<OutboundTls, 'peer' | 'from'>;

/**
 * The join of all entries that cover a domain (T8): every requirement of any of them holds, the shortest deadline counts.
 * @param recipientDomain canonical name; `*.partner.example` covers what is below it and not itself (T7).
 * @returns undefined if TLS is not required.
 */
export function outboundTlsOf(
  entries: readonly OutboundTls[],
  recipientDomain: string,
): TlsDemand | undefined {
  return join(
    entries.filter(({ peer }) =>
      peer.startsWith('*.') ? recipientDomain.endsWith(peer.slice(1)) : peer === recipientDomain,
    ),
  );
}

/**
 * What all TlsPolicies that concern a leg ask of its way now: those of its domain for its recipient, and what it has inherited
 * from other ways of the same mail (T14).
 */
export function tlsDemandOf({ domains }: Policy, leg: Leg): TlsDemand | undefined {
  const outbound = (domain: string) => domains.get(canonicalDomain(domain))?.policy.tls.outbound ?? [];
  const recipientDomain = parseMailbox(leg.recipient)?.domain;
  const own =
    recipientDomain === undefined ? undefined : outboundTlsOf(outbound(leg.domain), recipientDomain);
  const inherited = (leg.tlsOf ?? []).map(({ domain, direction, peer }: InheritedTls) => {
    if (direction === 'Outbound') return outboundTlsOf(outbound(domain), peer);
    const host = domains.get(canonicalDomain(domain));
    return host !== undefined && findPeer(host.tlsPeers, peer) !== undefined ? tlsOnly : undefined;
  });
  return join([own, ...inherited].filter((demand) => demand !== undefined));
}

/** What is asked of mail that comes in: encryption, from whomever. It waits as long as any mail waits. */
const tlsOnly: TlsDemand = {
  requireTrustedCA: false,
  requireHostnameMatch: false,
  caBundles: [],
  onFailure: 'Defer',
  giveUpAfterSeconds: Number.POSITIVE_INFINITY,
};

function join(demands: readonly TlsDemand[]): TlsDemand | undefined {
  if (demands.length === 0) return undefined;
  return {
    requireTrustedCA: demands.some(({ requireTrustedCA }) => requireTrustedCA),
    requireHostnameMatch: demands.some(({ requireHostnameMatch }) => requireHostnameMatch),
    caBundles: [...new Set(demands.flatMap(({ caBundles }) => caBundles))],
    onFailure: demands.some(({ onFailure }) => onFailure === 'Bounce') ? 'Bounce' : 'Defer',
    giveUpAfterSeconds: Math.min(...demands.map(({ giveUpAfterSeconds }) => giveUpAfterSeconds)),
  };
}
