import { describe, expect, test } from 'vitest';
import { kinds, parseObject } from '../../operator/api/index.ts';
import { cases } from './cases.ts';
import { useCrdServer } from './server.ts';

const server = useCrdServer();

describe.each(kinds.map(({ kind }) => kind))('API server on %s', (kind) => {
  const rows = cases.filter(({ manifest }) => manifest.kind === kind);

  test.each(rows)('$title', async ({ manifest, refused }) => {
    const answer = await server.tryCreate(manifest);
    if (refused !== undefined) {
      expect(answer.ok ? 'accepted' : answer.message).toContain(refused);
      return;
    }
    expect(answer.ok ? '' : answer.message).toBe('');
    // Not only the verdict: both halves fill in the same defaults.
    const parsed = parseObject(kind, JSON.parse(JSON.stringify(manifest)));
    expect(parsed.ok && parsed.object.spec).toEqual(answer.ok && answer.spec);
  });
});
