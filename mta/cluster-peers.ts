import { rangeTest } from './ip-ranges.ts';

/** Seconds for which mail from an address of the cluster is remembered: after a repair the warning goes by itself. */
const memory = 3600;

/**
 * Notices mail from addresses that a cluster has (nodes, pods, Services, loopback): most likely something in front puts its own
 * in place of the client's, and every list sees the wrong one (G14).
 */
export class ClusterPeers {
  private readonly isClusters: (ip: string) => boolean;
  private readonly isTrusted: (ip: string) => boolean;
  private last = Number.NEGATIVE_INFINITY;

  /** @param trusted ranges that are true client addresses all the same. @throws Error naming an entry that is no range. */
  constructor(clusterRanges: readonly string[], trusted: readonly string[]) {
    this.isClusters = rangeTest('clusterRanges', clusterRanges);
    this.isTrusted = rangeTest('trustedRanges', trusted);
  }

  /** @param now seconds since the epoch. */
  note(peer: string, now: number): void {
    if (this.isClusters(peer) && !this.isTrusted(peer)) this.last = now;
  }

  /** Has there been such mail lately? @param now seconds since the epoch. */
  seen(now: number): boolean {
    return now - this.last < memory;
  }
}
