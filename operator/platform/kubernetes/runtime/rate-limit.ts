// How long a key that failed has to wait, as client-go's default limiter has it: longer each time, and not all at once.
import type { Clock } from './clock.ts';

const FIRST_MS = 200;
const LONGEST_MS = 300_000;
const TOKENS_PER_SECOND = 10;
const BURST = 100;

export interface RateLimiter {
  /** Counts a failure of the key and returns the milliseconds to wait: 200 ms doubled up to 5 min, or the bucket's if longer. */
  wait(key: string): number;
  /** Forgets the key's failures. */
  forget(key: string): void;
  /** Failures in a row. */
  failures(key: string): number;
}

/** One limiter for all keys of a queue: per key exponential, together 10 a second with a burst of 100. */
export function createRateLimiter(clock: Clock): RateLimiter {
  const failures = new Map<string, number>();
  let tokens = BURST;
  let filledAt = clock.now();

  /** Takes a token, in advance if there is none: the wait is the time until it would exist. */
  function reserve(): number {
    const now = clock.now();
    tokens = Math.min(BURST, tokens + ((now - filledAt) / 1000) * TOKENS_PER_SECOND);
    filledAt = now;
    tokens -= 1;
    return tokens >= 0 ? 0 : (-tokens / TOKENS_PER_SECOND) * 1000;
  }

  return {
    wait(key) {
      const count = failures.get(key) ?? 0;
      failures.set(key, count + 1);
      return Math.max(Math.min(FIRST_MS * 2 ** count, LONGEST_MS), reserve());
    },
    forget(key) {
      failures.delete(key);
    },
    failures: (key) => failures.get(key) ?? 0,
  };
}
