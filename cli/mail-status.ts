import type { MtaState, PartnerTlsFailure } from '../bundle/state.ts';
import { formatTable } from './output.ts';

/** One entry for each way to a partner, whichever pods have failed on it: the last failure, and how many there were. Newest first. */
export function joinTlsFailures(states: readonly MtaState[]): readonly PartnerTlsFailure[] {
  const joined = new Map<string, PartnerTlsFailure>();
  const oldestFirst = states
    .flatMap(({ tlsFailures = [] }) => tlsFailures)
    .toSorted((left, right) => left.lastFailure - right.lastFailure);
  for (const each of oldestFirst) {
    const key = `${each.domain} ${each.partner} ${each.via}`;
    const failures = (joined.get(key)?.failures ?? 0) + each.failures;
    joined.delete(key);
    joined.set(key, { ...each, failures });
  }
  return [...joined.values()].reverse();
}

export function tlsFailureTable(failures: readonly PartnerTlsFailure[]): string {
  return formatTable(
    ['LAST TLS FAILURE', 'DOMAIN', 'PARTNER', 'VIA', 'HOST', 'RESULT', 'FAILURES', 'DETAIL'],
    failures.map(({ lastFailure, domain, partner, via, host, result, failures: count, detail }) => [
      new Date(lastFailure * 1000).toISOString(),
      domain,
      partner,
      via,
      host,
      result,
      String(count),
      detail,
    ]),
  );
}
