import { readFile } from 'node:fs/promises';
import type { PolicyBundle } from '../bundle/policy-bundle.ts';
import { domainPolicy, list } from '../policy/fixture.ts';
import { startMta } from '../test/wire/mta-process.ts';
import { randomRanges, randomWords } from './address-lists.ts';
import { type BenchResult, rounded } from './result.ts';

const domains = 100;
const entries = 10_000;

/**
 * Q13: resident memory of an MTA with 100 domains, each with full allow and block lists of its own, beside one with an empty
 * bundle: two million entries in all, one in ten of them IPv6.
 */
export async function run(): Promise<BenchResult[]> {
  const full = await residentMegabytes(fullBundle());
  const bare = await residentMegabytes(fullBundle(0));
  return [
    {
      id: 'Q13',
      what: `MTA RSS, ${domains} domains with ${entries} + ${entries} entries each`,
      value: rounded(full),
      unit: 'MB',
      target: '<= 250',
      peer: `the same MTA without a domain: ${rounded(bare)} MB`,
      ratio: rounded(bare / full),
    },
  ];
}

function fullBundle(count = domains): PolicyBundle {
  const names = Array.from({ length: count }, (_, i) => `d${i}.example`);
  const next = { 4: randomWords(4), 6: randomWords(6) };
  const ranges = () => {
    const mixed = [...randomRanges(entries * 0.9, 4, next[4]), ...randomRanges(entries * 0.1, 6, next[6])];
    return mixed.sort();
  };
  return {
    version: 1,
    namespace: 'bench',
    mta: 'default',
    domains: names.map((name) => domainPolicy(name, { access: { allow: [`${name}-allow`], block: [`${name}-block`] } })),
    audited: [],
    lists: names.flatMap((name) => [list(`${name}-allow`, ranges()), list(`${name}-block`, ranges())]),
    routes: [],
  };
}

/** VmRSS of an MTA process once the bundle is loaded, in MB of 10^6 bytes. */
async function residentMegabytes(bundle: PolicyBundle): Promise<number> {
  await using mta = await startMta({ bundle });
  const status = await readFile(`/proc/${mta.pid}/status`, 'utf8');
  const kilobytes = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]);
  return (kilobytes * 1024) / 1e6;
}
