// Workers take keys from the queue and reconcile them; what a reconcile returns or throws decides when it comes again.
import { type Clock, pause } from './clock.ts';
import type { WorkQueue } from './queue.ts';

/** An error that trying again cannot cure: wait for the next change instead. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
}

/** How a reconcile ends well: nothing, or a time after which to look again. */
export type ReconcileResult = { readonly requeueAfterMs?: number } | undefined;

export interface WorkerOptions {
  readonly queue: WorkQueue;
  readonly clock: Clock;
  /** How many keys are worked on at a time. */
  readonly count: number;
  /** Milliseconds after which one reconcile is aborted and counts as failed. */
  readonly timeoutMs: number;
  /** Brings the world in line with the declared state of the key. It must obey the signal. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<ReconcileResult>;
  /** Told of every failed reconcile; it will be tried again unless it is a TerminalError. */
  readonly onError: (key: string, error: unknown) => void;
}

export interface Workers {
  /**
   * Shuts the queue down, lets running reconciles end, and aborts those that still run after the time.
   *
   * @param drainMs Milliseconds.
   */
  stop(drainMs: number): Promise<void>;
}

/** Starts `count` workers. */
export function startWorkers(options: WorkerOptions): Workers {
  const { queue, clock, count, timeoutMs, reconcile, onError } = options;
  const stopping = new AbortController();

  async function work(): Promise<void> {
    for (let key = await queue.next(); key !== undefined; key = await queue.next()) {
      const deadline = new AbortController();
      const cancel = clock.timer(timeoutMs, () => deadline.abort(new Error(`not done in ${timeoutMs} ms`)));
      try {
        const result = await reconcile(key, AbortSignal.any([stopping.signal, deadline.signal]));
        queue.forget(key);
        if (result?.requeueAfterMs !== undefined) queue.addAfter(key, result.requeueAfterMs);
      } catch (error) {
        onError(key, error);
        if (error instanceof TerminalError) queue.forget(key);
        else queue.addRateLimited(key);
      } finally {
        cancel();
        queue.done(key);
      }
    }
  }

  const ended = Promise.all(Array.from({ length: count }, work));
  return {
    async stop(drainMs) {
      queue.shutDown();
      const drained = new AbortController();
      const all = ended.then(() => drained.abort());
      if (await pause(clock, drainMs, drained.signal)) stopping.abort(new Error('the operator is stopping'));
      await all;
    },
  };
}
