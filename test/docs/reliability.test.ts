import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { matrix } from '../faults/matrix.ts';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/reliability.md'), 'utf8');
const rows = [...page.matchAll(/^\| (X\d+) \| .* \| (\d+) \| (\w+) \|$/gm)].map(
  ([, id, injections, result]) => ({
    id,
    injections: Number(injections),
    result,
  }),
);
const shown = [...page.matchAll(/^- (.*) \(.*\[(test\/.*)\]\(\.\.\/(.*)\)\)$/gm)].map(
  ([, title = '', file = '', link = '']) => ({
    title: title.replace(/^on a cluster node, by `make e2e`: /, ''),
    file,
    link,
  }),
);

describe('docs/reliability.md', () => {
  it('has every fault of the table once, injected, and held', () => {
    expect(rows.map(({ id }) => id)).toEqual(matrix.map(({ id }) => id));
    expect(rows.filter(({ injections, result }) => injections < 1 || result !== 'held')).toEqual([]);
  });

  it('has the faults that were promised', () => {
    const promised = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 19, 20, 22, 23, 24, 27].map(
      (number) => `X${number}`,
    );
    expect(rows.map(({ id }) => id)).toEqual(expect.arrayContaining(promised));
  });

  it('names tests that are there', () => {
    expect(shown.length).toBeGreaterThan(rows.length);
    for (const { title, file, link } of shown) {
      expect(link).toBe(file);
      expect(existsSync(join(root, file)), file).toBe(true);
      const text = readFileSync(join(root, file), 'utf8');
      // Most of a title stands in the source; what test.each and templates put in may not.
      const words = title.split(/[^\p{L}]+/u).filter((word) => word.length > 2);
      const found = words.filter((word) => text.includes(word)).length;
      expect(found, `${file}: ${title}`).toBeGreaterThan(words.length / 2);
    }
  });

  it('leaves out no test with such an id', () => {
    for (const file of globSync('test/**/*.test.ts', { cwd: root })) {
      const text = readFileSync(join(root, file), 'utf8');
      for (const [, id] of text.matchAll(/\b(?:test|it|describe)\(\s*['"`](?:[A-Z]\d+[, ]+)*(X\d+)\b/g)) {
        expect(
          shown.some((one) => one.file === file) && rows.some((row) => row.id === id),
          `${id} in ${file}`,
        ).toBe(true);
      }
    }
  });
});
