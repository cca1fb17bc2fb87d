import { canonicalJson } from './canonical.ts';
import { stableHash } from './pieces.ts';
import type { Sha256 } from './shard-content.ts';
import { type SecretIndex, type ShardIndex, secretShardPrefix } from './shard-index.ts';
import { compareText } from './shards.ts';
import { listPart, type Unit } from './units.ts';

/** ConfigMaps and Secrets per MTA: fixed, so that a unit never moves because another one was added. */
export const publicShardCount = 48;
export const secretShardCount = 8;
/** Bytes of a shard after compression: two of them, old and new, fit into one ConfigMap (1 MiB) side by side. */
export const maxShardBytes = 524_288;

/** gzip (RFC 1952) without time stamp: equal text must give equal bytes. Passed in: this folder runs anywhere. */
export type Gzip = (text: string) => Uint8Array;

/** A shard, ready to be written. */
export interface PackedShard {
  readonly file: string;
  /** Of the bytes before compression. */
  readonly sha256: string;
  readonly bytes: Uint8Array;
  readonly units: readonly Unit[];
}

export interface PackOptions {
  readonly kind: 'public' | 'secret';
  readonly sha256: Sha256;
  readonly gzip: Gzip;
  /** Shards of the last packing by number; those whose units are the same are taken from here. Updated. */
  readonly previous?: Map<number, PackedShard>;
}

/** The number of the shard that a unit lies in. */
export function shardOf(key: string, kind: 'public' | 'secret'): number {
  return stableHash(key) % (kind === 'public' ? publicShardCount : secretShardCount);
}

/**
 * Packs units into shards. A shard is the canonical JSON object of its units, compressed unit by unit (RFC 1952 2.2 allows
 * a file of several members), so that a changed unit costs its own compression only and sizes simply add up.
 *
 * @returns the shards that hold anything, by number
 * @throws if two units have one key or a shard is over `maxShardBytes` (the compiler leaves domains out before that)
 */
export function packShards(units: readonly Unit[], options: PackOptions): PackedShard[] {
  const byShard = Map.groupBy(units, ({ key }) => shardOf(key, options.kind));
  for (const number of options.previous?.keys() ?? []) {
    if (!byShard.has(number)) options.previous?.delete(number);
  }
  const numbers = [...byShard.keys()].sort((left, right) => left - right);
  return numbers.map((number) => {
    const wanted = (byShard.get(number) ?? []).sort((left, right) => compareText(left.key, right.key));
    const known = options.previous?.get(number);
    if (known !== undefined && sameUnits(known.units, wanted)) return known;
    const packed = packShard(number, wanted, options);
    options.previous?.set(number, packed);
    return packed;
  });
}

/** Bytes that a unit adds to its shard. */
export function packedSize(unit: Unit, gzip: Gzip): number {
  return memberOf(unit, gzip).length + punctuation(',', gzip).length;
}

/** The public index over packed shards; parameters as in `ShardIndex`. */
export function indexOf(
  content: Omit<ShardIndex, 'bundleHash' | 'shards' | 'lists'>,
  shards: readonly PackedShard[],
  sha256: Sha256,
): ShardIndex {
  const entries = shards.map(({ file, sha256: hash }) => ({ file, sha256: hash }));
  const lists = listsIn(shards, sha256);
  const { secretsRevision, domains, routes } = content;
  const bundleHash = sha256(canonicalJson({ secretsRevision, shards: entries, domains, routes, lists }));
  return { ...content, bundleHash, shards: entries, lists };
}

/** The secret index over packed shards. @param revision from names and versions of Secrets, never from their bytes */
export function secretIndexOf(
  content: Omit<SecretIndex, 'shards'>,
  shards: readonly PackedShard[],
): SecretIndex {
  return { ...content, shards: shards.map(({ file, sha256 }) => ({ file, sha256 })) };
}

/** The hash over a list is one over those of its pieces: after an edit of one entry few of them are made anew. */
function listsIn(shards: readonly PackedShard[], sha256: Sha256): ShardIndex['lists'] {
  const pieces = new Map<string, Unit[]>();
  for (const unit of shards.flatMap(({ units }) => units)) {
    const part = listPart(unit.key);
    if (part === undefined) continue;
    const known = pieces.get(part.list) ?? [];
    pieces.set(part.list, known);
    if (part.isPiece) known.push(unit);
  }
  return Object.fromEntries(
    [...pieces].map(([list, units]) => {
      const lines = units.map((unit) => `${unit.key} ${hashOf(unit, sha256)}`).sort(compareText);
      return [list, { sha256: sha256(lines.join('\n')), pieces: units.length }];
    }),
  );
}

const hashes = new WeakMap<Unit, string>();

function hashOf(unit: Unit, sha256: Sha256): string {
  const known = hashes.get(unit);
  if (known !== undefined) return known;
  const hash = sha256(unit.text);
  hashes.set(unit, hash);
  return hash;
}

const members = new WeakMap<Unit, Uint8Array>();
const marks = new WeakMap<Gzip, Map<string, Uint8Array>>();

function packShard(number: number, units: readonly Unit[], options: PackOptions): PackedShard {
  const { gzip } = options;
  const parts: Uint8Array[] = [punctuation('{', gzip)];
  for (const [position, unit] of units.entries()) {
    if (unit.key === units[position - 1]?.key) throw new Error(`two units have the key ${unit.key}`);
    if (position > 0) parts.push(punctuation(',', gzip));
    parts.push(memberOf(unit, gzip));
  }
  parts.push(punctuation('}', gzip));
  const bytes = concat(parts);
  const name = String(number).padStart(2, '0');
  if (bytes.length > maxShardBytes) {
    throw new Error(`shard ${name} would have ${bytes.length} bytes, over the ${maxShardBytes} that fit`);
  }
  const sha256 = options.sha256(`{${units.map(textOf).join(',')}}`);
  const prefix = options.kind === 'secret' ? secretShardPrefix : '';
  return { file: `${prefix}${name}-${sha256.slice(0, 12)}.json.gz`, sha256, bytes, units };
}

function textOf(unit: Unit): string {
  return `${JSON.stringify(unit.key)}:${unit.text}`;
}

function memberOf(unit: Unit, gzip: Gzip): Uint8Array {
  const known = members.get(unit);
  if (known !== undefined) return known;
  const member = gzip(textOf(unit));
  members.set(unit, member);
  return member;
}

function punctuation(mark: '{' | ',' | '}', gzip: Gzip): Uint8Array {
  const known = marks.get(gzip) ?? new Map<string, Uint8Array>();
  marks.set(gzip, known);
  const member = known.get(mark) ?? gzip(mark);
  known.set(mark, member);
  return member;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function sameUnits(left: readonly Unit[], right: readonly Unit[]): boolean {
  return (
    left.length === right.length &&
    left.every((unit, position) => {
      const other = right[position];
      return unit === other || (unit.key === other?.key && unit.text === other.text);
    })
  );
}
