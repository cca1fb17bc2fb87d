import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatRange, maskAddress, type Range } from '../../policy/ip/range.ts';
import { coverOf, isCovered } from './range-cover.ts';

/** Ranges that often meet: few bits vary. */
const range: fc.Arbitrary<Range> = fc
  .record({
    family: fc.constantFrom(4 as const, 6 as const),
    word: fc.constantFrom(0, 1, 2, 0x7fffffff, 0x80000000, 0xc0000200, 0xc0000201, 0xffffffff),
    other: fc.constantFrom(0, 1, 0x80000000, 0xffffffff),
    prefix: fc.nat({ max: 127 }),
  })
  .map(({ family, word, other, prefix }) => {
    const length = 1 + (family === 4 ? prefix % 32 : prefix);
    const words = family === 4 ? [word] : [word, other, other, word];
    return { address: maskAddress({ family, words }, length), prefix: length };
  });

function within(inner: Range, outer: Range): boolean {
  return (
    inner.address.family === outer.address.family &&
    inner.prefix >= outer.prefix &&
    formatRange({ ...outer, address: maskAddress(inner.address, outer.prefix) }) === formatRange(outer)
  );
}

test('A10: the cover says what comparing with every range says', () => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 12 }), fc.array(range, { maxLength: 12 }), (list, asked) => {
      const cover = coverOf(list);
      for (const one of [...list, ...asked]) {
        expect(isCovered(one, cover), formatRange(one)).toBe(list.some((outer) => within(one, outer)));
      }
      const widest = new Set(
        list
          .filter((one) => !list.some((outer) => within(one, outer) && outer.prefix < one.prefix))
          .map(formatRange),
      );
      expect(cover.size).toBe(widest.size);
    }),
    { numRuns: 500 },
  );
});
