import { describe, expect, test } from 'vitest';
import { condition, mergeConditions, readyFrom } from './conditions.ts';

const before = Date.parse('2026-01-01T00:00:00Z');
const now = Date.parse('2026-11-25T12:00:00.789Z');

describe('mergeConditions', () => {
  const previous = mergeConditions(undefined, [condition('Accepted', 'True', 'Accepted')], 1, before);

  test('lastTransitionTime stays while the status is the same, whatever reason and message say', () => {
    const next = mergeConditions(
      previous,
      [condition('Accepted', 'True', 'PartiallyAccepted', 'b: no')],
      2,
      now,
    );
    expect(next).toEqual([
      {
        type: 'Accepted',
        status: 'True',
        reason: 'PartiallyAccepted',
        message: 'b: no',
        observedGeneration: 2,
        lastTransitionTime: '2026-01-01T00:00:00Z',
      },
    ]);
  });

  test('lastTransitionTime moves with the status, in whole seconds', () => {
    const [next] = mergeConditions(previous, [condition('Accepted', 'False', 'Invalid', 'x')], 1, now);
    expect(next?.lastTransitionTime).toBe('2026-11-25T12:00:00Z');
  });

  test('a condition that is not said any more is dropped', () => {
    expect(mergeConditions(previous, [], 1, now)).toEqual([]);
  });

  test('a reason that is in no table is refused', () => {
    const wrong = { type: 'Accepted', status: 'True', reason: 'constructor', message: '' } as const;
    expect(() => mergeConditions(undefined, [wrong], 1, now)).toThrow(
      'condition Accepted has no reason constructor',
    );
    const unknown = { ...wrong, type: '__proto__' };
    expect(() => mergeConditions(undefined, [unknown], 1, now)).toThrow('condition __proto__ has no reason');
  });
});

describe('readyFrom', () => {
  test('is the first part that is not True, with its status, reason and message', () => {
    const ready = readyFrom([
      condition('Accepted', 'True', 'Accepted'),
      condition('ResolvedRefs', 'Unknown', 'Pending', 'wait'),
      condition('Programmed', 'False', 'LoadFailed', 'no'),
    ]);
    expect(ready).toEqual({ type: 'Ready', status: 'Unknown', reason: 'Pending', message: 'wait' });
  });

  test('is True when all are', () => {
    expect(readyFrom([condition('Accepted', 'True', 'PartiallyAccepted', 'x')])).toMatchObject({
      status: 'True',
    });
  });
});
