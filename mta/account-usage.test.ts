import { expect, test } from 'vitest';
import { AccountUsage } from './account-usage.ts';

test('P7: recipients count for an hour, and for their account only', () => {
  const usage = new AccountUsage();
  const noon = 1_795_608_000;
  usage.add('User@a.example', noon);
  usage.add('user@a.example', noon + 30);
  usage.add('user@a.example', noon + 1800);
  expect(usage.recipients('user@a.example', noon + 1800)).toBe(3);
  expect(usage.recipients('other@a.example', noon + 1800)).toBe(0);
  expect(usage.recipients('user@a.example', noon + 3599)).toBe(3);
  expect(usage.recipients('user@a.example', noon + 3600)).toBe(1);
  expect(usage.recipients('user@a.example', noon + 5400)).toBe(0);
});

test('P7, X25: a clock that was set back two hours locks no account out', () => {
  const usage = new AccountUsage();
  const noon = 1_795_608_000;
  usage.add('user@a.example', noon + 7200);
  expect(usage.recipients('user@a.example', noon)).toBe(0);
  usage.add('user@a.example', noon);
  expect(usage.recipients('user@a.example', noon)).toBe(1);
});
