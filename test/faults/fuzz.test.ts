import { expect, it } from 'vitest';
import { fuzzManifests } from './fuzz.ts';
import { recordFaults } from './record.ts';

const seed = Number(process.env['SEED'] ?? 20_261_125);

it(`X21: 2,000 mangled manifests crash nothing, are refused by field, and hurt no neighbour (SEED=${seed})`, async () => {
  const result = await fuzzManifests(seed, 2_000);
  expect(result.failures).toEqual([]);
  // The corpus is on both sides of the schema.
  expect(result.refused).toBeGreaterThan(500);
  expect(result.compiled).toBeGreaterThan(200);
  recordFaults(2_000);
}, 120_000);
