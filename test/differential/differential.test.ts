import { expect, it } from 'vitest';
import { runDifferential } from './run.ts';

const seed = Number(process.env['SEED'] ?? 20_261_125);

it(`B7, G2, A10, G10, D8, I3: explain and live SMTP say the same in 2,000 random cases (SEED=${seed})`, async () => {
  const result = await runDifferential(seed, 2_000, () => undefined);
  expect(result.disagreements, `run it again with SEED=${seed}`).toEqual([]);
  expect(result.transactions).toBe(2_000);
  // The corpus reaches the rules that it is there for.
  for (const code of ['250 2.1.5', '550 5.7.1', '550 5.1.1', '530 5.7.0', '553 5.1.3', '554 5.4.6']) {
    expect(result.codes[code] ?? 0, `replies ${code}`).toBeGreaterThan(20);
  }
}, 180_000);
