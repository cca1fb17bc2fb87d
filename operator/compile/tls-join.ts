import type { InboundTls, OutboundTls } from '../../bundle/domain-policy.ts';
import { compareText } from '../../bundle/shards.ts';
import type { SourceRef } from '../../bundle/source.ts';

/**
 * Joins what several policies require of mail to one peer: everything that any of them requires (T8). CA and host name cannot
 * be compared, so the join holds both; trust stores are all kept, since each must verify the chain; the earlier end of
 * waiting wins. Commutative, associative, idempotent, and never weaker than a part: a property test says so.
 */
export function strictest(left: OutboundTls, right: OutboundTls): OutboundTls {
  return {
    peer: left.peer,
    requireTrustedCA: left.requireTrustedCA || right.requireTrustedCA,
    requireHostnameMatch: left.requireHostnameMatch || right.requireHostnameMatch,
    caBundles: [...new Set([...left.caBundles, ...right.caBundles])].sort(compareText),
    onFailure: left.onFailure === 'Bounce' || right.onFailure === 'Bounce' ? 'Bounce' : 'Defer',
    giveUpAfterSeconds: Math.min(left.giveUpAfterSeconds, right.giveUpAfterSeconds),
    from: union(left.from, right.from),
  };
}

/** One requirement per peer, sorted; a peer under a wildcard gets the wildcard's too, so the narrowest match says all. */
export function joinOutbound(parts: readonly OutboundTls[]): OutboundTls[] {
  return joinByPeer(parts, strictest);
}

/** The same for mail from a peer, of which TLS is all that can be asked. */
export function joinInbound(parts: readonly InboundTls[]): InboundTls[] {
  return joinByPeer(parts, ({ peer, from }, other) => ({ peer, from: union(from, other.from) }));
}

function joinByPeer<T extends { readonly peer: string }>(
  parts: readonly T[],
  join: (left: T, right: T) => T,
): T[] {
  const own = new Map<string, T>();
  for (const part of parts) {
    const known = own.get(part.peer);
    own.set(part.peer, known === undefined ? part : join(known, part));
  }
  const joined = [...own.values()].map((part) =>
    wildcardsOver(part.peer).reduce((sum, wildcard) => {
      const wider = own.get(wildcard);
      return wider === undefined ? sum : join(sum, wider);
    }, part),
  );
  return joined.sort((left, right) => compareText(left.peer, right.peer));
}

/** `*.b.example` and `*.example` for `a.b.example`; those of its parent for `*.b.example`. */
function wildcardsOver(peer: string): string[] {
  const labels = peer.replace(/^\*\./, '').split('.');
  return labels.slice(1).map((_, index) => `*.${labels.slice(index + 1).join('.')}`);
}

function union(left: readonly SourceRef[], right: readonly SourceRef[]): SourceRef[] {
  const byName = new Map([...left, ...right].map((source) => [source.name, source]));
  return [...byName.values()].sort((one, other) => compareText(one.name, other.name));
}
