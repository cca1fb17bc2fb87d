import { expect, test } from 'vitest';
import { renderedObjects } from './rendered-objects.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const render = (publicFiles: Record<string, string>, secretFiles: Record<string, string> = {}) => ({
  mta: 'default',
  bundleHash: 'b',
  coldHash: 'c',
  publicFiles: new Map(Object.entries(publicFiles).map(([name, text]) => [name, bytes(text)])),
  secretFiles: new Map(Object.entries(secretFiles).map(([name, text]) => [name, bytes(text)])),
  coldFiles: new Map([['smtp.ini', '[main]']]),
});

test('every file lies in its fixed-name object: 48 + 8 shards, two indexes, one configuration', () => {
  const objects = renderedObjects(
    render(
      { 'index.json': '{}', '47-0123456789ab.json.gz': 'a' },
      { 'secret-index-0123456789ab.json': '{}', 'secret-07-0123456789ab.json.gz': 's' },
    ),
  );
  expect(objects).toHaveLength(48 + 8 + 3);
  const filled = objects
    .filter(({ files }) => files.size > 0)
    .map(({ kind, name, files }) => `${kind} ${name}: ${[...files.keys()]}`);
  expect(filled).toEqual([
    'ConfigMap postern-default-config: smtp.ini',
    'ConfigMap postern-default-47: 47-0123456789ab.json.gz',
    'Secret postern-default-secret-7: secret-07-0123456789ab.json.gz',
    'Secret postern-default-secret-index: secret-index-0123456789ab.json',
    'ConfigMap postern-default-index: index.json',
  ]);
});

test('shards come before the indexes that name them, and the public index is last', () => {
  const roles = renderedObjects(render({})).map(({ role }) => role);
  expect(roles.slice(-2)).toEqual(['secretIndex', 'index']);
  expect(roles.lastIndexOf('shard')).toBeLessThan(roles.indexOf('secretIndex'));
});

test('a file that no object holds is an error: a pod would miss it', () => {
  expect(() => renderedObjects(render({ '48-0123456789ab.json.gz': 'a' }))).toThrow(
    '48-0123456789ab.json.gz',
  );
});
