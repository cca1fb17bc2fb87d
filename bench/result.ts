/** One measured figure of docs/performance.md. */
export interface BenchResult {
  /** `Q1` */
  readonly id: string;
  /** What was measured, in a few words. */
  readonly what: string;
  readonly value: number;
  /** `us`, `ms`, `s`, `MB`, `MiB`, `%`, what is counted, or `x`: times the peer's */
  readonly unit: string;
  /** `<= 2` */
  readonly target: string;
  /** What the same run measured for somebody else's way of doing it, `net.BlockList: 480 us`; or what they `published`. */
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

/**
 * How our rounds compare with the peer's: each with the one beside it, so that whatever else ran on the machine troubled both.
 * @param ours,theirs one figure for each round.
 * @returns quartiles of ours divided by theirs.
 */
export function pairedRatios(ours: readonly number[], theirs: readonly number[]) {
  const ratios = ours.map((mine, round) => mine / (theirs[round] ?? Number.NaN));
  return { low: percentile(ratios, 0.25), median: percentile(ratios, 0.5), high: percentile(ratios, 0.75) };
}
