import type { PolicyBundle } from '../bundle/policy-bundle.ts';
import { publicIndexFile, shardIndex } from '../bundle/shard-index.ts';
import { domainPolicy, list } from '../policy/fixture.ts';
import { eventually } from '../test/wire/eventually.ts';
import { type MtaProcess, startMta } from '../test/wire/mta-process.ts';
import { policyFiles } from '../test/wire/policy-files.ts';
import { randomRanges, randomWords } from './address-lists.ts';
import { asInImage } from './as-in-image.ts';
import { memoryOf } from './process-memory.ts';
import { type BenchResult, rounded } from './result.ts';

const domains = 100;
const entries = 10_000;
const changes = 20;

/**
 * Q13: resident memory of an MTA with 100 domains, each with full allow and block lists of its own (two million entries in
 * all, one in ten of them IPv6), beside one with an empty bundle; after the first load, and after as many changes of one entry.
 * Measured as the image runs it: compiled, with its options of Node.js.
 */
export async function run(): Promise<BenchResult[]> {
  return await asInImage(async (program) => {
    const main = program('mta/main.js');
    const bare = await withMta(main, bundleOf(0), residentMegabytes);
    const bundle = bundleOf(domains);
    const [first, later] = await withMta(main, bundle, async (mta) => {
      const loaded = await residentMegabytes(mta);
      await change(mta, bundle);
      return [loaded, await residentMegabytes(mta)];
    });
    return [
      row('as the image runs it', first, bare),
      row(`as the image runs it, after ${changes} changes`, later, bare),
    ];
  });
}

function row(how: string, value: number, bare: number): BenchResult {
  return {
    id: 'Q13',
    what: `MTA RSS, ${domains} domains with ${entries} + ${entries} entries each, ${how}`,
    value: rounded(value),
    unit: 'MB',
    target: '<= 250',
    peer: `the same MTA without a domain: ${rounded(bare)} MB`,
    ratio: rounded(bare / value),
  };
}

function bundleOf(count: number): PolicyBundle {
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
    domains: names.map((name) =>
      domainPolicy(name, { access: { allow: [`${name}-allow`], block: [`${name}-block`] } }),
    ),
    audited: [],
    lists: names.flatMap((name) => [list(`${name}-allow`, ranges()), list(`${name}-block`, ranges())]),
    routes: [],
  };
}

async function withMta<T>(
  main: string,
  bundle: PolicyBundle,
  measure: (mta: MtaProcess) => Promise<T>,
): Promise<T> {
  await using mta = await startMta({ bundle, main });
  return await measure(mta);
}

/** Adds an entry to one list and takes it away again, until there were enough changes. */
async function change(mta: MtaProcess, bundle: PolicyBundle): Promise<void> {
  const [first, ...others] = bundle.lists;
  if (first === undefined) throw new Error('the bundle has no list');
  const edited = { ...first, ranges: [...first.ranges, '192.0.2.1'].sort() };
  const versions = [policyFiles({ ...bundle, lists: [edited, ...others] }), policyFiles(bundle)];
  for (let i = 0; i < changes; i++) {
    const files = versions[i % 2] ?? new Map<string, Uint8Array>();
    const text = Buffer.from(files.get(publicIndexFile) ?? '').toString();
    const { bundleHash } = shardIndex.parse(JSON.parse(text));
    await mta.writePolicy(files);
    await eventually(async () => (await mta.state()).bundleHash === bundleHash, 'the change is loaded');
  }
}

/** In MB of 10^6 bytes. */
async function residentMegabytes(mta: MtaProcess): Promise<number> {
  return (await memoryOf(mta.pid)).resident / 1e6;
}
