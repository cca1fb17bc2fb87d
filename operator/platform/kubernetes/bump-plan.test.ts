import { expect, test } from 'vitest';
import { type BumpInput, planBump } from './bump-plan.ts';

const base: BumpInput = {
  annotation: undefined,
  bundleHash: 'abc',
  loaded: false,
  justWritten: false,
  writtenAt: 1_000_000,
  touches: 0,
  now: 1_000_000,
};

test('a pod is touched at once after a write, and again at 2, 5 and 15 s while it reports something older', () => {
  let input: BumpInput = { ...base, justWritten: true };
  const touched: [number, string][] = [];
  for (let now = base.now; now <= base.now + 60_000; now += 500) {
    const plan = planBump({ ...input, now });
    if (plan.value !== undefined) {
      touched.push([now - base.now, plan.value]);
      input = { ...input, annotation: plan.value, touches: input.touches + 1 };
    }
    input = { ...input, justWritten: false };
  }
  expect(touched).toEqual([
    [0, 'abc.0'],
    [2_000, 'abc.1'],
    [5_000, 'abc.2'],
    [15_000, 'abc.3'],
  ]);
});

test('it tells when to look again', () => {
  expect(planBump({ ...base, justWritten: true })).toEqual({ value: 'abc.0', nextAt: base.now + 2_000 });
  expect(planBump({ ...base, annotation: 'abc.0', touches: 1 })).toEqual({ nextAt: base.now + 2_000 });
});

test('a pod that has loaded the bundle is left alone, whatever its annotation says', () => {
  expect(planBump({ ...base, loaded: true })).toEqual({});
  expect(planBump({ ...base, loaded: true, annotation: 'old.3' })).toEqual({});
});

test('restored files are announced with a value that was not there before', () => {
  expect(planBump({ ...base, loaded: true, justWritten: true, annotation: 'abc.3' }).value).toBe('abc.4');
});

test('X5: an operator that ended between write and touch catches up when it is back', () => {
  expect(planBump({ ...base, annotation: '01d.2' }).value).toBe('abc.0');
});

test('an operator that comes back does not touch at once a pod that was told already', () => {
  expect(planBump({ ...base, annotation: 'abc.0' })).toEqual({ nextAt: base.now + 2_000 });
});
