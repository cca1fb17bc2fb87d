import { expect, test } from 'vitest';
import { isOutage } from './outage.ts';
import { ApiError } from './runtime/api-error.ts';

test('no answer, 5xx and 429 are an outage, a refusal is none', () => {
  expect(isOutage(new ApiError(0, 'Unreachable', 'x'))).toBe(true);
  expect(isOutage(new ApiError(503, 'ServiceUnavailable', 'x'))).toBe(true);
  expect(isOutage(new ApiError(429, 'TooManyRequests', 'x'))).toBe(true);
  expect(isOutage(new ApiError(409, 'Conflict', 'x'))).toBe(false);
  expect(isOutage(new ApiError(0, 'Aborted', 'x'))).toBe(false);
  expect(isOutage(new TypeError('x'))).toBe(false);
});

test('of several failures each must be one', () => {
  const away = new ApiError(0, 'Timeout', 'x');
  expect(isOutage(new AggregateError([away, new AggregateError([away])]))).toBe(true);
  expect(isOutage(new AggregateError([away, new ApiError(403, 'Forbidden', 'x')]))).toBe(false);
});
