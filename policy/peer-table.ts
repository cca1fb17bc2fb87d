import type { InboundTls } from '../bundle/domain-policy.ts';
import type { SourceRef } from '../bundle/source.ts';

/** The partner domains of a domain's TlsPolicies: `partner.example` -> who asks, `*.partner.example` under `.partner.example`. */
export type PeerTable = ReadonlyMap<string, PeerEntry>;

interface PeerEntry {
  /** As written in the policy. */
  readonly peer: string;
  /** The first TlsPolicy that names it. */
  readonly source: SourceRef;
}

/** Builds the table; entries without a source (never compiled so) ask for nothing. */
export function buildPeerTable(entries: readonly InboundTls[]): PeerTable {
  const table = new Map<string, PeerEntry>();
  for (const { peer, from } of entries) {
    const [source] = from;
    if (source !== undefined) table.set(peer.startsWith('*.') ? peer.slice(1) : peer, { peer, source });
  }
  return table;
}

/**
 * The entry that covers a domain: exact, else the nearest `*.` above it (which does not cover its own name: T7).
 * @param domain canonical name.
 */
export function findPeer(table: PeerTable, domain: string): PeerEntry | undefined {
  const exact = table.get(domain);
  if (exact !== undefined || table.size === 0) return exact;
  for (let dot = domain.indexOf('.'); dot >= 0; dot = domain.indexOf('.', dot + 1)) {
    const found = table.get(domain.slice(dot));
    if (found !== undefined) return found;
  }
  return undefined;
}
