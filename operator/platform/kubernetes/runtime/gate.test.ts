import { expect, test } from 'vitest';
import { createGate } from './gate.ts';

test('so many work at a time, the others in the order in which they came, and a failure frees its place', async () => {
  const gate = createGate(2);
  const begun: number[] = [];
  const ends = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
  const works = ends.map(({ promise }, number) =>
    gate(async () => {
      begun.push(number);
      await promise;
      return number;
    }),
  );
  expect(begun).toEqual([0, 1]);
  ends[1]?.reject(new Error('broken'));
  await expect(works[1]).rejects.toThrow('broken');
  expect(begun).toEqual([0, 1, 2]);
  for (const { resolve } of ends) resolve();
  expect(await Promise.all(works.filter((_, number) => number !== 1))).toEqual([0, 2, 3, 4]);
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  // All places are free again.
  expect(await gate(async () => 'done')).toBe('done');
});
