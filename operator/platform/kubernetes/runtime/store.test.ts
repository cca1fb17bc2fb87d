import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Resource } from './resource.ts';
import { type Change, createStore } from './store.ts';

const object = (name: string, version: number, namespace = 'n', uid = name): Resource => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace, uid, resourceVersion: String(version) },
});
const versionOf = (resource: Resource) => resource.metadata.resourceVersion;

test('a listener that follows the changes always has the contents of the store', () => {
  const objects = fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd'),
      version: fc.integer({ min: 1, max: 5 }),
      again: fc.boolean(),
    }),
    { selector: ({ name }) => name },
  );
  fc.assert(
    fc.property(
      fc.array(fc.record({ how: fc.constantFrom('replace', 'put', 'remove'), objects })),
      (steps) => {
        const store = createStore(versionOf);
        const mirror = new Map<string, string>();
        const follow = (change: Change<string>) => {
          const { name } = change.entry.resource.metadata;
          expect(mirror.has(name)).toBe(change.type !== 'added');
          if (change.type === 'deleted') mirror.delete(name);
          else mirror.set(name, change.entry.value);
        };
        for (const { how, objects: given } of steps) {
          const resources = given.map(({ name, version, again }) =>
            object(name, version, 'n', again ? 'other' : name),
          );
          if (how === 'replace') store.replace(resources).forEach(follow);
          else
            for (const resource of resources)
              store[how === 'put' ? 'put' : 'remove'](resource).forEach(follow);
          expect([...mirror].sort()).toEqual(
            ['a', 'b', 'c', 'd'].flatMap((name) => {
              const value = store.get(`n/${name}`);
              return value === undefined ? [] : [[name, value]];
            }),
          );
          if (how === 'replace') expect(store.size).toBe(resources.length);
        }
      },
    ),
  );
});

test('the same version again is no change', () => {
  const store = createStore(versionOf);
  expect(store.put(object('a', 1)).map(({ type }) => type)).toEqual(['added']);
  expect(store.put(object('a', 1))).toEqual([]);
  expect(store.replace([object('a', 1)])).toEqual([]);
});

test('objects are listed by namespace', () => {
  const store = createStore((resource) => resource.metadata.name);
  store.replace([object('a', 1, 'x'), object('b', 2, 'y'), object('c', 3, 'x')]);
  expect(store.list('x')).toEqual(['a', 'c']);
  expect(store.list('z')).toEqual([]);
  expect(store.list()).toEqual(['a', 'b', 'c']);
});
