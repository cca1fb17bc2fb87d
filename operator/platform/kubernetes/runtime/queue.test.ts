import fc from 'fast-check';
import { expect, test } from 'vitest';
import { manualClock } from './manual-clock.ts';
import { createWorkQueue } from './queue.ts';

type Step =
  | { readonly do: 'add' | 'fail'; readonly key: string }
  | { readonly do: 'addAfter'; readonly key: string; readonly ms: number }
  | { readonly do: 'next' }
  | { readonly do: 'done' }
  | { readonly do: 'advance'; readonly ms: number };

const key = fc.constantFrom('a', 'b', 'c');
const ms = fc.integer({ min: 0, max: 2000 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom('add', 'fail'), key }),
  fc.record({ do: fc.constant('addAfter'), key, ms }),
  fc.record({ do: fc.constant('next') }),
  fc.record({ do: fc.constant('done') }),
  fc.record({ do: fc.constant('advance'), ms }),
);

test('no key is worked on twice at a time, and every request is followed by work that began after it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const clock = manualClock();
      const queue = createWorkQueue(clock);
      const active = new Set<string>();
      /** Keys that somebody asked for and that were not begun since. */
      const wanted = new Set<string>();
      const take = (taken: string | undefined) => {
        if (taken === undefined) return;
        expect(active.has(taken)).toBe(false);
        active.add(taken);
        wanted.delete(taken);
      };
      for (const action of steps) {
        if (action.do === 'add') queue.add(action.key);
        if (action.do === 'fail') queue.addRateLimited(action.key);
        if (action.do === 'addAfter') queue.addAfter(action.key, action.ms);
        if ('key' in action) wanted.add(action.key);
        if (action.do === 'next' && queue.depth > 0) take(await queue.next());
        if (action.do === 'advance') await clock.advance(action.ms);
        const [first] = active;
        if (action.do === 'done' && first !== undefined) {
          active.delete(first);
          queue.done(first);
        }
        expect(queue.active).toBe(active.size);
        expect(queue.depth).toBeLessThanOrEqual(3);
      }
      // Let every wait pass (60 failures need no more than 5 minutes each) and drain: nothing that was wanted is missing.
      for (const running of active) queue.done(running);
      active.clear();
      await clock.advance(400_000);
      while (queue.depth > 0) {
        const taken = await queue.next();
        take(taken);
        active.delete(taken ?? '');
        queue.done(taken ?? '');
      }
      expect([...wanted]).toEqual([]);
      expect(clock.timers).toBe(0);
    }),
  );
});

test('a key waits once, however often it is added', async () => {
  const queue = createWorkQueue(manualClock());
  for (let i = 0; i < 10; i += 1) queue.add('a');
  expect(queue.depth).toBe(1);
});

test('a key added while it is worked on comes again, once, when that is done', async () => {
  const queue = createWorkQueue(manualClock());
  queue.add('a');
  await queue.next();
  queue.add('a');
  queue.add('a');
  expect(queue.depth).toBe(0);
  queue.done('a');
  expect(queue.depth).toBe(1);
});

test('whoever waits gets the next key', async () => {
  const queue = createWorkQueue(manualClock());
  const first = queue.next();
  const second = queue.next();
  queue.add('a');
  queue.add('b');
  expect(await Promise.all([first, second])).toEqual(['a', 'b']);
});

test('failures wait 200 ms, doubled up to 5 minutes, until the key does well', async () => {
  const clock = manualClock();
  const queue = createWorkQueue(clock);
  const waits: number[] = [];
  for (let failure = 0; failure < 13; failure += 1) {
    const failedAt = clock.now();
    queue.addRateLimited('a');
    while (queue.depth === 0) await clock.advance(100);
    waits.push(clock.now() - failedAt);
    await queue.next();
    queue.done('a');
  }
  expect(waits.slice(0, 4)).toEqual([200, 400, 800, 1600]);
  expect(waits.slice(-2)).toEqual([300_000, 300_000]);
  queue.forget('a');
  expect(queue.failures('a')).toBe(0);
  queue.addRateLimited('a');
  await clock.advance(200);
  expect(queue.depth).toBe(1);
});

test('failures of many keys together come back at most 10 a second after a burst of 100', async () => {
  const clock = manualClock();
  const queue = createWorkQueue(clock);
  for (let i = 0; i < 150; i += 1) queue.addRateLimited(`key${i}`);
  await clock.advance(200);
  // 100 of the burst, and those whose token exists by 200 ms.
  expect(queue.depth).toBe(102);
  await clock.advance(1_000);
  expect(queue.depth).toBe(112);
  await clock.advance(3_800);
  expect(queue.depth).toBe(150);
});

test('of several waits for a key the earliest counts', async () => {
  const clock = manualClock();
  const queue = createWorkQueue(clock);
  queue.addAfter('a', 1_000);
  queue.addAfter('a', 100);
  queue.addAfter('a', 500);
  await clock.advance(100);
  expect(queue.depth).toBe(1);
  await clock.advance(2_000);
  expect(clock.timers).toBe(0);
  expect(queue.depth).toBe(1);
});

test('after shutDown nothing comes, and nobody waits for ever', async () => {
  const clock = manualClock();
  const queue = createWorkQueue(clock);
  const waiting = queue.next();
  queue.addAfter('a', 100);
  queue.shutDown();
  queue.add('b');
  expect(await waiting).toBeUndefined();
  expect(await queue.next()).toBeUndefined();
  expect(clock.timers).toBe(0);
});
