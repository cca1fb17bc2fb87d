import { expect, test } from 'vitest';
import { manualClock } from './manual-clock.ts';
import { createWorkQueue } from './queue.ts';
import { startWorkers, TerminalError, type WorkerOptions } from './workers.ts';

function setUp(reconcile: WorkerOptions['reconcile']) {
  const clock = manualClock();
  const queue = createWorkQueue(clock);
  const errors: unknown[] = [];
  const workers = startWorkers({
    queue,
    clock,
    count: 2,
    timeoutMs: 60_000,
    reconcile,
    onError: (_key, error) => errors.push(error),
  });
  return { clock, queue, errors, workers };
}

test('a failed key is tried again, a terminal failure is not', async () => {
  const runs: string[] = [];
  const { clock, queue, errors, workers } = setUp(async (key) => {
    runs.push(key);
    if (key === 'bad') throw new TerminalError('no');
    if (runs.length < 4) throw new Error('not yet');
    return undefined;
  });
  queue.add('a');
  await clock.advance(10_000);
  queue.add('bad');
  await clock.advance(600_000);
  expect(runs).toEqual(['a', 'a', 'a', 'a', 'bad']);
  expect(errors).toHaveLength(4);
  expect(queue.failures('a')).toBe(0);
  await workers.stop(1_000);
});

test('a key comes again after the time that its reconcile asked for', async () => {
  let runs = 0;
  const { clock, queue, workers } = setUp(async () => {
    runs += 1;
    return { requeueAfterMs: 5_000 };
  });
  queue.add('a');
  await clock.advance(4_999);
  expect(runs).toBe(1);
  await clock.advance(1);
  expect(runs).toBe(2);
  await workers.stop(1_000);
});

test('two keys run at a time, the third waits', async () => {
  const running = new Set<string>();
  const gate = Promise.withResolvers<void>();
  const { clock, queue, workers } = setUp(async (key) => {
    running.add(key);
    await gate.promise;
    return undefined;
  });
  for (const key of ['a', 'b', 'c']) queue.add(key);
  await clock.advance(0);
  expect([...running]).toEqual(['a', 'b']);
  gate.resolve();
  await clock.advance(0);
  expect([...running]).toEqual(['a', 'b', 'c']);
  await workers.stop(1_000);
});

test('a reconcile that takes too long is aborted and tried again', async () => {
  let runs = 0;
  const { clock, queue, errors, workers } = setUp((_key, signal) => {
    runs += 1;
    if (runs > 1) return Promise.resolve(undefined);
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  });
  queue.add('a');
  await clock.advance(60_200);
  expect(runs).toBe(2);
  expect(String(errors[0])).toContain('not done in 60000 ms');
  await workers.stop(1_000);
});

test('stop waits for running reconciles, and aborts them when the time is over', async () => {
  let aborted = false;
  const { clock, queue, workers } = setUp(
    (_key, signal) =>
      new Promise((resolve) =>
        signal.addEventListener('abort', () => {
          aborted = true;
          resolve(undefined);
        }),
      ),
  );
  queue.add('a');
  await clock.advance(0);
  const stopped = workers.stop(25_000);
  await clock.advance(24_999);
  expect(aborted).toBe(false);
  await clock.advance(1);
  await stopped;
  expect(aborted).toBe(true);
});
