/** One measured figure of docs/performance.md. */
export interface BenchResult {
  /** `Q1` */
  readonly id: string;
  /** What was measured, in a few words. */
  readonly what: string;
  readonly value: number;
  /** `us`, `ms`, `MB`, `%` */
  readonly unit: string;
  /** `<= 2` */
  readonly target: string;
  /** What the same run measured for somebody else's way of doing it: `net.BlockList: 480 us`. */
  readonly peer?: string;
  /** The peer's value divided by ours. */
  readonly ratio?: number;
}

/**
 * The value below which the given share of the samples lies.
 * @param share 0.99 for p99.
 */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The value with three significant digits, as the tables show it. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3));
}
