// The keyed work queue of client-go (util/workqueue), in the small: a key waits once however often it is added, is never
// worked on twice at a time, and is worked on again if it was added meanwhile.
import type { Clock } from './clock.ts';
import { createRateLimiter } from './rate-limit.ts';

export interface WorkQueue {
  /** Asks for work on the key as soon as possible. */
  add(key: string): void;
  /** Asks for work after `ms`. Of several waits for one key the earliest counts. */
  addAfter(key: string, ms: number): void;
  /** Asks for work after a failure: 200 ms, doubled each time up to 5 min, at most 10 a second in all. */
  addRateLimited(key: string): void;
  /** The key did well: its next failure waits 200 ms again. */
  forget(key: string): void;
  /** Failures of the key in a row. */
  failures(key: string): number;
  /** Waits for a key to work on; undefined after shutDown. Whoever got a key calls `done` in the end. */
  next(): Promise<string | undefined>;
  /** Work on the key has ended, well or not. */
  done(key: string): void;
  /** Keys that wait to be worked on now. */
  readonly depth: number;
  /** Keys that are worked on. */
  readonly active: number;
  /** Takes no more keys, and lets go of those that wait. */
  shutDown(): void;
}

export function createWorkQueue(clock: Clock): WorkQueue {
  /** In order of arrival. Disjoint from `processing`, except that a key added while it is worked on is only in `dirty`. */
  const ready: string[] = [];
  const dirty = new Set<string>();
  const processing = new Set<string>();
  const delayed = new Map<string, { readonly at: number; readonly cancel: () => void }>();
  const waiting: ((key: string | undefined) => void)[] = [];
  const limiter = createRateLimiter(clock);
  let closed = false;

  function offer(key: string): void {
    const worker = waiting.shift();
    if (worker === undefined) {
      ready.push(key);
      return;
    }
    start(key);
    worker(key);
  }
  function start(key: string): void {
    dirty.delete(key);
    processing.add(key);
  }
  function add(key: string): void {
    if (closed || dirty.has(key)) return;
    dirty.add(key);
    if (!processing.has(key)) offer(key);
  }
  function addAfter(key: string, ms: number): void {
    if (closed) return;
    if (ms <= 0) {
      add(key);
      return;
    }
    const at = clock.now() + ms;
    const earlier = delayed.get(key);
    if (earlier !== undefined && earlier.at <= at) return;
    earlier?.cancel();
    const cancel = clock.timer(ms, () => {
      delayed.delete(key);
      add(key);
    });
    delayed.set(key, { at, cancel });
  }

  return {
    add,
    addAfter,
    addRateLimited: (key) => addAfter(key, limiter.wait(key)),
    forget: limiter.forget,
    failures: limiter.failures,
    next() {
      if (closed) return Promise.resolve(undefined);
      const key = ready.shift();
      if (key === undefined) return new Promise((resolve) => waiting.push(resolve));
      start(key);
      return Promise.resolve(key);
    },
    done(key) {
      processing.delete(key);
      if (dirty.has(key) && !closed) offer(key);
    },
    get depth() {
      return ready.length;
    },
    get active() {
      return processing.size;
    },
    shutDown() {
      closed = true;
      for (const { cancel } of delayed.values()) cancel();
      delayed.clear();
      ready.length = 0;
      dirty.clear();
      for (const worker of waiting.splice(0)) worker(undefined);
    },
  };
}
