import { describe, expect, test } from 'vitest';
import { kinds, parseObject, problemText } from '../../operator/api/index.ts';
import { cases } from './cases.ts';

describe.each(kinds.map(({ kind }) => kind))('zod parse of %s', (kind) => {
  const rows = cases.filter(({ manifest }) => manifest.kind === kind);

  test.each(rows)('$title', ({ manifest, refused }) => {
    // A manifest comes from YAML or JSON, where a field cannot be undefined.
    const result = parseObject(kind, JSON.parse(JSON.stringify(manifest)));
    const problems = result.ok ? [] : result.problems.map(problemText);
    if (refused === undefined) expect(problems).toEqual([]);
    else expect(problems.join('\n')).toContain(refused);
  });
});
