import type { PartnerTlsFailure, TlsResult } from '../../bundle/state.ts';

/** Most partners whose failure is kept: names under a `*.` of a TlsPolicy are made up by whoever addresses mail. */
const maxPartners = 100;
/** Longest text that is kept of what a certificate or a server says. */
const maxDetail = 200;

/** A way on which TlsPolicies require TLS. */
export type Partner = Pick<PartnerTlsFailure, 'domain' | 'partner' | 'via'>;

/** Which partners mail does not get to over the TLS that is required. In memory only: a restart finds out anew. */
export class PartnerTls {
  /** The one that failed last is the last one. */
  private readonly failing = new Map<string, PartnerTlsFailure>();

  /** @param now seconds since the epoch. */
  failed(
    partner: Partner,
    { host, result, detail }: { host: string; result: TlsResult; detail: string },
    now: number,
  ): void {
    const key = keyOf(partner);
    const failures = (this.failing.get(key)?.failures ?? 0) + 1;
    this.failing.delete(key);
    this.failing.set(key, {
      ...partner,
      host,
      result,
      detail: harmless(detail),
      failures,
      lastFailure: now,
    });
    const [oldest] = this.failing.keys();
    if (this.failing.size > maxPartners && oldest !== undefined) this.failing.delete(oldest);
  }

  succeeded(partner: Partner): void {
    this.failing.delete(keyOf(partner));
  }

  /** Newest first. */
  all(): PartnerTlsFailure[] {
    return [...this.failing.values()].reverse();
  }
}

function keyOf({ domain, partner, via }: Partner): string {
  return `${domain} ${partner} ${via}`;
}

/** One line of printable ASCII. */
function harmless(text: string): string {
  return text
    .replace(/[^!-~]+/g, ' ')
    .trim()
    .slice(0, maxDetail);
}
