import { describe, expect, test } from 'vitest';
import { conditionTypes, kinds } from './index.ts';

const rows = Object.entries(conditionTypes).flatMap(([type, { reasons }]) =>
  Object.entries(reasons).map(([reason, { advice, status }]) => ({ type, reason, advice, status })),
);

describe('reason table', () => {
  test.each(rows)(
    '$type/$reason is CamelCase and says in one sentence what to do',
    ({ type, reason, advice, status }) => {
      expect(type).toMatch(/^[A-Z][A-Za-z]+$/);
      expect(reason).toMatch(/^[A-Z][A-Za-z]+$/);
      expect(advice).toMatch(/^[^.]+(\.\w[^.]*)*\.$/);
      expect(status.length).toBeGreaterThan(0);
    },
  );

  test('ST8: every kind has the four shared conditions, and every condition belongs to a kind', () => {
    for (const { conditions } of kinds) {
      expect(conditions.slice(0, 4)).toEqual(['Accepted', 'ResolvedRefs', 'Programmed', 'Ready']);
    }
    const used = new Set<string>(kinds.flatMap(({ conditions }) => conditions));
    expect([...used].sort()).toEqual(Object.keys(conditionTypes).sort());
  });

  test('Ready may say why with any reason that keeps one of the others from being True', () => {
    const blocking = rows.filter(
      ({ type, status }) =>
        ['Accepted', 'ResolvedRefs', 'Programmed', 'KeyGenerated'].includes(type) &&
        !status.some((word) => word === 'True'),
    );
    expect(Object.keys(conditionTypes.Ready.reasons)).toEqual(
      expect.arrayContaining(blocking.map(({ reason }) => reason)),
    );
  });

  test('a warning is True or absent', () => {
    for (const { warning, reasons } of Object.values(conditionTypes)) {
      if (!warning) continue;
      expect(new Set(Object.values(reasons).flatMap(({ status }) => status))).toEqual(new Set(['True']));
    }
  });
});
