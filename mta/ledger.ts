import type { MtaState } from '../bundle/state.ts';

/** Messages that ended without a delivery and without a DSN (G9): counted, so that nothing disappears silently. */
export class Ledger {
  private readonly counts: MtaState['ledger'] = {
    suppressedNdrs: 0,
    backscatterAvoided: 0,
    doubleBounces: 0,
    expired: 0,
  };

  add(entry: keyof MtaState['ledger']): void {
    this.counts[entry] += 1;
  }

  snapshot(): MtaState['ledger'] {
    return { ...this.counts };
  }
}
