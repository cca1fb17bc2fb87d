import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const states = ['enforced', 'declared', 'planned', 'none'];

interface Row {
  readonly id: string;
  readonly state: string;
}

function readRows(): Row[] {
  const text = readFileSync(join(root, 'docs/behaviours.md'), 'utf8');
  return text.split('\n').flatMap((line) => {
    const id = /^\| ([A-Z]\d+) \|/.exec(line)?.[1];
    const state = /\| (\w+) \|$/.exec(line)?.[1];
    return id === undefined ? [] : [{ id, state: state ?? '' }];
  });
}

/** Ids that a title (or the name of a case in a case table) begins with: `'A10, B4: allow wins'`. */
function readTitleIds(pattern: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of globSync(pattern, { cwd: root })) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, ids] of text.matchAll(/['"`]((?:[ABDGIKOPRST]\d{1,2}(?:, ?| and |(?=:)))+):/g)) {
      for (const [id] of (ids ?? '').matchAll(/[A-Z]\d{1,2}/g)) found.set(id, file);
    }
  }
  return found;
}

describe('docs/behaviours.md', () => {
  const rows = readRows();
  const outside = readTitleIds('test/**/*.ts');

  it('has every id once, each with a known state', () => {
    expect(rows.length).toBeGreaterThan(130);
    expect(new Set(rows.map((row) => row.id)).size).toBe(rows.length);
    expect(rows.filter((row) => !states.includes(row.state))).toEqual([]);
  });

  it('calls enforced only what a test under test/ sees from outside', () => {
    const unproven = rows
      .filter((row) => row.state === 'enforced' && !outside.has(row.id))
      .map((row) => row.id);
    expect(unproven).toEqual([]);
  });

  it('knows every id that a test title carries', () => {
    const known = new Set(rows.map((row) => row.id));
    const all = readTitleIds('{bundle,policy,operator,mta,cli,test}/**/*.ts');
    expect([...all].filter(([id]) => !known.has(id))).toEqual([]);
  });
});
