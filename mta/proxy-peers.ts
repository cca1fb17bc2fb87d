import type { Haraka } from './haraka.ts';
import { rangeTest } from './ip-ranges.ts';

/**
 * Decides who may send a PROXY line, in place of Haraka's own function, which clones its configuration on each connection and
 * reads a single IPv6 address as a /64.
 * @param entries addresses and CIDRs.
 * @throws Error naming an entry that is neither.
 */
export function trustProxies(haraka: Pick<Haraka, 'netUtils'>, entries: readonly string[]): void {
  haraka.netUtils.is_haproxy_allowed = rangeTest('proxies', entries);
}
