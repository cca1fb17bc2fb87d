import { expect, test } from 'vitest';
import { RouteConcurrency } from './concurrency.ts';

function makeWaiters() {
  const woken: string[] = [];
  const waiters = new Map<string, object>();
  const take = (concurrency: RouteConcurrency, name: string, route = 'store', willAsk = true) => {
    const who = waiters.get(name) ?? {};
    waiters.set(name, who);
    const limit = route === 'store' ? 2 : 1;
    return concurrency.take(route, limit, who, () => {
      woken.push(name);
      return willAsk;
    });
  };
  return { woken, take };
}

test('places are given up to the limit, and whoever waits is woken in order', () => {
  const concurrency = new RouteConcurrency();
  const { woken, take } = makeWaiters();
  const first = take(concurrency, 'first');
  const second = take(concurrency, 'second');
  expect(take(concurrency, 'third')).toBeUndefined();
  expect(take(concurrency, 'fourth')).toBeUndefined();
  expect(take(concurrency, 'other', 'other')).toBeDefined();
  first?.();
  first?.();
  expect(woken).toEqual(['third']);
  second?.();
  expect(woken).toEqual(['third', 'fourth']);
  expect(take(concurrency, 'fifth')).toBeDefined();
});

test('who is gone when woken leaves its turn to the next, and who asks twice waits once', () => {
  const concurrency = new RouteConcurrency();
  const { woken, take } = makeWaiters();
  const first = take(concurrency, 'first');
  const second = take(concurrency, 'second');
  take(concurrency, 'held', 'store', false);
  take(concurrency, 'third');
  take(concurrency, 'third');
  take(concurrency, 'fourth');
  first?.();
  expect(woken).toEqual(['held', 'third']);
  second?.();
  expect(woken).toEqual(['held', 'third', 'fourth']);
});

test('who finds a place by itself waits no more', () => {
  const concurrency = new RouteConcurrency();
  const { woken, take } = makeWaiters();
  const first = take(concurrency, 'first');
  take(concurrency, 'second');
  take(concurrency, 'third');
  take(concurrency, 'fourth');
  first?.();
  expect(woken).toEqual(['third']);
  const fourth = take(concurrency, 'fourth');
  expect(fourth).toBeDefined();
  expect(take(concurrency, 'third')).toBeUndefined();
  fourth?.();
  expect(woken).toEqual(['third', 'third']);
});
