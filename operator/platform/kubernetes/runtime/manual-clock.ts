// A clock for tests that moves only when told to.
import type { Clock } from './clock.ts';

export interface ManualClock extends Clock {
  /** Moves on by `ms`, running every timer that falls due, in order, each at its own time. */
  advance(ms: number): Promise<void>;
  /** Timers that wait. */
  readonly timers: number;
}

/** Starts at 0 (calendar: 2026-01-01T00:00:00Z). */
export function manualClock(): ManualClock {
  let now = 0;
  let timers: { readonly at: number; readonly run: () => void }[] = [];
  /** Lets what the last timer resolved go on before the next one runs. */
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    now: () => now,
    date: () => new Date(Date.UTC(2026, 0, 1) + now),
    timer(ms, run) {
      const timer = { at: now + ms, run };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
    get timers() {
      return timers.length;
    },
    async advance(ms) {
      const end = now + ms;
      await settle();
      for (;;) {
        const [due] = timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at);
        if (due === undefined) break;
        timers = timers.filter((timer) => timer !== due);
        now = Math.max(now, due.at);
        due.run();
        await settle();
      }
      now = end;
    },
  };
}
