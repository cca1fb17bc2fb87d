import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const docs = join(import.meta.dirname, '../../docs');
const rows = readFileSync(join(docs, 'conventions.md'), 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, id = '', state = '', where = ''] = /^\| ([A-Z]+\d+) \|.*\| (\w+) \| (.*) \|$/.exec(line) ?? [];
    return id === ''
      ? []
      : [{ id, state, links: [...where.matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => link) }];
  });

describe('docs/conventions.md', () => {
  it('has every id of the five lists once, each with a known state', () => {
    const counts = { CRD: 17, ST: 10, OP: 13, CH: 17, IM: 6 };
    const ids = Object.entries(counts).flatMap(([prefix, count]) =>
      Array.from({ length: count }, (_, i) => `${prefix}${i + 1}`),
    );
    expect(rows.map(({ id }) => id)).toEqual(ids);
    expect(rows.filter(({ state }) => state !== 'kept' && state !== 'open')).toEqual([]);
  });

  it('names files that are there, and tests that carry the id', () => {
    const exceptions = ['CRD5', 'OP9'];
    for (const { id, links } of rows) {
      for (const link of links) {
        const path = join(docs, link);
        expect(existsSync(path), `${id}: ${link}`).toBe(true);
        if (!link.endsWith('.test.ts') || exceptions.includes(id)) continue;
        expect(new RegExp(`\\b${id}\\b`).test(readFileSync(path, 'utf8')), `${id} in ${link}`).toBe(true);
      }
    }
  });
});
