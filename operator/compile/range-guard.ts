import type { RangeList } from '../../bundle/range-list.ts';
import { formatRange, maskAddress, parseRange, type Range } from '../../policy/ip/range.ts';
import { type ListEntries, parsedRanges } from './access-list-entries.ts';
import type { Hosted } from './domains.ts';
import { findMta } from './domains.ts';
import type { Snapshot } from './model.ts';
import { coverOf, isCovered, type RangeCover } from './range-cover.ts';

/**
 * Which addresses say nothing about a client, because a load balancer or proxy of the cluster puts them in place of the client's
 * (G14): a list or gateway entry that covers one would judge everybody by it.
 */
export interface RangeGuard {
  /** Of nodes, pods and Services, and loopback. */
  readonly cluster: readonly Range[];
  /** One for each MTA concerned: what its settings call true client addresses all the same. */
  readonly trusted: readonly RangeCover[];
  /** Equal guards have equal keys. */
  readonly key: string;
}

/** The guard of what acts on these domains; undefined where nobody stands in front of the MTA (standalone). */
export function guardOf(hosted: readonly Hosted[], snapshot: Snapshot): RangeGuard | undefined {
  const { clusterRanges } = snapshot.options;
  if (clusterRanges === undefined) return undefined;
  const mtas = [...new Set(hosted.map(({ mta }) => mta))].sort();
  const trusted = mtas.map((mta) => {
    const found = findMta(mta, snapshot);
    return found.ok ? found.settings.trustedRanges : [];
  });
  return {
    cluster: clusterRanges.flatMap((text) => parseRange(text) ?? []),
    trusted: trusted.map((texts) => coverOf(texts.flatMap((text) => parseRange(text) ?? []))),
    key: JSON.stringify([clusterRanges, trusted]),
  };
}

/** The ranges that cover addresses of the cluster which no setting trusts. */
export function untrustedRanges(ranges: readonly Range[], { cluster, trusted }: RangeGuard): Set<Range> {
  const around = coverOf(cluster);
  const isTrusted = (range: Range) => trusted.length > 0 && trusted.every((cover) => isCovered(range, cover));
  // One CIDR contains the other or they share nothing: what they share is the narrower of the two.
  return new Set(
    ranges.filter((range) => {
      if (isCovered(range, around)) return !isTrusted(range);
      return cluster.some((one) => contains(range, one) && !isTrusted(one));
    }),
  );
}

/** Asked for each entry of long lists, of which hardly one is wide enough to contain anything. */
function contains(outer: Range, inner: Range): boolean {
  if (outer.address.family !== inner.address.family || outer.prefix > inner.prefix) return false;
  const { words } = maskAddress(inner.address, outer.prefix);
  return words.every((word, index) => word === outer.address.words[index]);
}

interface Guarded {
  readonly entries: ListEntries;
  /** What is left out, as text. */
  readonly untrusted: readonly string[];
}

const guarded = new WeakMap<RangeList, { readonly key: string; readonly result: Guarded }>();

/** The entries of a list without those that the guard keeps out; kept like the list, since looking at 10,000 costs milliseconds. */
export function guardEntries(entries: ListEntries, guard: RangeGuard | undefined): Guarded {
  if (guard === undefined) return { entries, untrusted: [] };
  const known = guarded.get(entries.list);
  if (known?.key === guard.key) return known.result;
  const result = leaveOut(entries, guard);
  guarded.set(entries.list, { key: guard.key, result });
  return result;
}

function leaveOut(entries: ListEntries, guard: RangeGuard): Guarded {
  const out = new Set([...untrustedRanges(parsedRanges(entries.list), guard)].map(formatRange));
  if (out.size === 0) return { entries, untrusted: [] };
  const { list } = entries;
  const ranges = list.ranges.filter((text) => !out.has(text));
  const expires = Object.fromEntries(Object.entries(list.expires).filter(([text]) => !out.has(text)));
  return { entries: { ...entries, list: { ...list, ranges, expires } }, untrusted: [...out].sort() };
}

/** For the condition Programmed; undefined if everything is trusted. */
export function untrustedMessage(untrusted: readonly string[]): string | undefined {
  const [first, ...rest] = untrusted;
  if (first === undefined) return undefined;
  const more = rest.length === 0 ? '' : ` and ${rest.length} more`;
  return `${first}${more}: covers addresses of the cluster, so it is left out`;
}
