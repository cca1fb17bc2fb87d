import { expect, test } from 'vitest';
import { isMoreThanStatus } from './predicates.ts';
import type { ObjectMeta } from './resource.ts';

const meta: ObjectMeta = {
  name: 'a',
  namespace: 'n',
  uid: 'u',
  resourceVersion: '1',
  generation: 1,
  labels: { a: '1', b: '2' },
};

test('a status write is not worth a reconcile', () => {
  expect(isMoreThanStatus(meta, { ...meta, resourceVersion: '2', labels: { b: '2', a: '1' } })).toBe(false);
});

test.each<[string, Partial<ObjectMeta>]>([
  ['spec', { generation: 2 }],
  ['labels', { labels: { a: '1' } }],
  ['annotations', { annotations: { x: 'y' } }],
  ['finalizers', { finalizers: ['f'] }],
  ['deletion', { deletionTimestamp: '2026-01-01T00:00:00Z' }],
  ['another object of the name', { uid: 'v' }],
])('a change of %s is', (_what, change) => {
  expect(isMoreThanStatus(meta, { ...meta, ...change, resourceVersion: '2' })).toBe(true);
});

test('every change of a kind without generations is', () => {
  const { generation: _none, ...secret } = meta;
  expect(isMoreThanStatus(secret, { ...secret, resourceVersion: '2' })).toBe(true);
  expect(isMoreThanStatus(secret, secret)).toBe(false);
});
