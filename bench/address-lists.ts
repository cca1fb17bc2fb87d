import type { DomainPolicy } from '../bundle/domain-policy.ts';
import type { PolicyBundle } from '../bundle/policy-bundle.ts';
import { bundleOf, domainPolicy, list } from '../policy/fixture.ts';
import { formatAddress } from '../policy/ip/address.ts';
import { formatRange, maskAddress } from '../policy/ip/range.ts';

/** Numbers that look random and are the same in every run (mulberry32). */
export function randomWords(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return (word ^ (word >>> 14)) >>> 0;
  };
}

/**
 * Entries as lists in the field have them: 70 % single addresses, 30 % ranges (/20 to /31, for IPv6 /32 to /64), all
 * different.
 */
export function randomRanges(count: number, family: 4 | 6, next: () => number): string[] {
  const ranges = new Set<string>();
  while (ranges.size < count) {
    const words = family === 4 ? [next()] : [0x20010000 + (next() & 0xffff), next(), next(), next()];
    const single = next() % 10 < 7;
    const prefix = family === 4 ? (single ? 32 : 20 + (next() % 12)) : single ? 128 : 32 + (next() % 33);
    ranges.add(formatRange({ address: maskAddress({ family, words }, prefix), prefix }));
  }
  return [...ranges].sort();
}

/** Peers to look up: every other one stands in a list (the first address of a range counts), the rest are strangers. */
export function randomPeers(
  count: number,
  family: 4 | 6,
  ranges: readonly string[],
  next: () => number,
): string[] {
  return Array.from({ length: count }, (_, i) => {
    const hit = ranges[next() % ranges.length]?.split('/')[0];
    if (i % 2 === 0 && hit !== undefined) return hit;
    const words = family === 4 ? [next()] : [0x20010000 + (next() & 0xffff), next(), next(), next()];
    return formatAddress({ family, words });
  });
}

/** A bundle of one domain with one allow and one block list, and what else the domain has. */
export function bundleWithLists(
  allow: readonly string[],
  block: readonly string[],
  over: Partial<DomainPolicy> = {},
): PolicyBundle {
  const domain = domainPolicy('example.com', {
    access: { allow: ['allow'], block: ['block'] },
    maxMessageBytes: 26_214_400,
    ...over,
  });
  return bundleOf([domain], [list('allow', [...allow]), list('block', [...block])]);
}
