import { expect, test } from 'vitest';
import { ObjectCache } from './object-cache.ts';

function world() {
  const shown = new Map<string, string>();
  const server = new Map<string, { resourceVersion: string; value: string }>();
  let reads = 0;
  const cache = new ObjectCache<string>({
    version: (name) => shown.get(name),
    read: async (name) => {
      reads += 1;
      return server.get(name);
    },
  });
  return { shown, server, cache, reads: () => reads };
}

test('an object is read once for each version that the informer shows', async () => {
  const { shown, server, cache, reads } = world();
  expect(await cache.get('a')).toBeUndefined();
  expect(reads()).toBe(0);
  shown.set('a', '1');
  server.set('a', { resourceVersion: '1', value: 'one' });
  expect([await cache.get('a'), await cache.get('a')]).toEqual(['one', 'one']);
  expect(reads()).toBe(1);
  shown.set('a', '2');
  server.set('a', { resourceVersion: '2', value: 'two' });
  expect(await cache.get('a')).toBe('two');
  expect(reads()).toBe(2);
});

test('a write of our own counts before the informer shows it, and is checked until then', async () => {
  const { shown, server, cache, reads } = world();
  server.set('a', { resourceVersion: '5', value: 'mine' });
  cache.wrote('a', '5', 'mine');
  expect(await cache.get('a')).toBe('mine');
  expect(reads()).toBe(1);
  server.delete('a');
  expect(await cache.get('a')).toBeUndefined();
  server.set('a', { resourceVersion: '6', value: 'again' });
  cache.wrote('a', '6', 'again');
  shown.set('a', '6');
  expect(await cache.get('a')).toBe('again');
  expect(reads()).toBe(2);
});

test('an object that the informer lost is gone', async () => {
  const { shown, server, cache } = world();
  shown.set('a', '1');
  server.set('a', { resourceVersion: '1', value: 'one' });
  await cache.get('a');
  shown.delete('a');
  expect(await cache.get('a')).toBeUndefined();
});

test('what nobody refers to is forgotten', async () => {
  const { shown, server, cache, reads } = world();
  shown.set('a', '1');
  server.set('a', { resourceVersion: '1', value: 'one' });
  await cache.get('a');
  cache.retain(new Set());
  await cache.get('a');
  expect(reads()).toBe(2);
});
