// Time as an argument: what waits or measures in this folder does it through a clock, so that tests need not wait.

export interface Clock {
  /** Monotonic milliseconds since some fixed moment: for durations. */
  now(): number;
  /** The calendar time: only for what people read. */
  date(): Date;
  /** Calls `run` once after `ms`; the returned function cancels it. */
  timer(ms: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  timer(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/**
 * Waits.
 *
 * @param ms Milliseconds.
 * @param signal Ends the wait early.
 * @returns `true` after the whole time, `false` if the signal ended it. Never throws.
 */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const onAbort = () => {
      cancel();
      resolve(false);
    };
    const cancel = clock.timer(ms, () => {
      signal.removeEventListener('abort', onAbort);
      resolve(true);
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
