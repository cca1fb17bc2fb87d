// Growing waits between attempts, with jitter so that many clients do not come back in step.
import type { Clock } from './clock.ts';

const FIRST_MS = 800;
const LONGEST_MS = 30_000;
const FORGOTTEN_AFTER_MS = 120_000;

/**
 * Waits for the connections to an API server, as client-go and kube-rs choose them: 0.8 s, doubled up to 30 s, each
 * times 0.5 to 1.5, and back to the start when nothing failed for 2 minutes.
 *
 * @param random 0 <= x < 1, as Math.random.
 * @returns A function that gives the next wait in milliseconds.
 */
export function streamBackoff(clock: Clock, random: () => number): () => number {
  let next = FIRST_MS;
  let lastFailure = Number.NEGATIVE_INFINITY;
  return () => {
    const now = clock.now();
    if (now - lastFailure > FORGOTTEN_AFTER_MS) next = FIRST_MS;
    lastFailure = now;
    const wait = next * (0.5 + random());
    next = Math.min(next * 2, LONGEST_MS);
    return Math.min(wait, LONGEST_MS);
  };
}
