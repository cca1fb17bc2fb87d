import type { DomainPolicy, GatewayPolicy } from '../bundle/domain-policy.ts';
import type { RoutePolicy } from '../bundle/route-policy.ts';
import type { SourceRef } from '../bundle/source.ts';
import type { RangeIndex } from './ip/range-index.ts';
import type { JunkPattern } from './junk-pattern.ts';
import type { PeerTable } from './peer-table.ts';

/** A PolicyBundle, indexed for judgement. Immutable: a new bundle makes a new one and is swapped in whole. */
export interface Policy {
  /** By canonical domain name. */
  readonly domains: ReadonlyMap<string, Domain>;
  /** Domains as they would be with every object in Audit enforced; only those that differ (G15). */
  readonly audited: ReadonlyMap<string, Domain>;
  /** By key. */
  readonly lists: ReadonlyMap<string, AccessList>;
  /** By name. */
  readonly routes: ReadonlyMap<string, RoutePolicy>;
}

/** An IpAccessList. The texts of the bundle are not kept: see RangeIndex. */
export interface AccessList {
  readonly source: SourceRef;
  readonly index: RangeIndex;
}

/** The InboundGateway of a domain. */
export interface Gateway {
  readonly policy: GatewayPolicy;
  /** Of all registered hops. */
  readonly addresses: RangeIndex;
  readonly junkPatterns: readonly JunkPattern[];
}

/** A hosted domain. */
export interface Domain {
  readonly policy: DomainPolicy;
  readonly allow: readonly AccessList[];
  readonly block: readonly AccessList[];
  readonly gateway?: Gateway;
  /** Partners whose mail must come over TLS. */
  readonly tlsPeers: PeerTable;
  /** Local parts of List mode, in order of code units: searched by halving. */
  readonly localParts: readonly string[];
  /** The parts of `messageKey` that depend on the domain alone (G8). */
  readonly keys: { readonly direct: string; readonly gateway: string; readonly plain: string };
}
