import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { secret } from './secret.ts';

const hidden = secret('hunter2');

it.each([
  ['JSON', () => JSON.stringify({ hidden })],
  ['a template', () => `${hidden}`],
  ['string concatenation', () => `${String(hidden)}`],
  ['inspect', () => inspect({ hidden }, { depth: 5, showHidden: true })],
  ['own properties', () => JSON.stringify([Object.keys(hidden), Object.entries(hidden), { ...hidden }])],
  ['an error cause', () => inspect(new Error('failed', { cause: hidden }))],
])('a secret does not show in %s', (_where, print) => {
  expect(print()).not.toContain('hunter2');
});

it('gives the value to who asks for it by name', () => {
  expect(hidden.reveal()).toBe('hunter2');
  expect(JSON.stringify(hidden)).toBe('"[redacted]"');
});
