import { expect, test } from 'vitest';
import { RouteConcurrency } from './concurrency.ts';

test('places are given up to the limit, and whoever waits is woken in order', () => {
  const concurrency = new RouteConcurrency();
  const woken: string[] = [];
  const first = concurrency.take('store', 2, () => woken.push('first'));
  const second = concurrency.take('store', 2, () => woken.push('second'));
  expect(concurrency.take('store', 2, () => woken.push('third'))).toBeUndefined();
  expect(concurrency.take('store', 2, () => woken.push('fourth'))).toBeUndefined();
  expect(concurrency.take('other', 1, () => woken.push('other'))).toBeDefined();
  first?.();
  first?.();
  expect(woken).toEqual(['third']);
  second?.();
  expect(woken).toEqual(['third', 'fourth']);
  expect(concurrency.take('store', 2, () => woken.push('fifth'))).toBeDefined();
});
