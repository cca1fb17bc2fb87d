import { maxShardBytes, packedSize, shardOf } from '../../bundle/pack-shards.ts';
import type { Unit } from '../../bundle/units.ts';
import { gzip } from '../render/gzip.ts';

/** What must go into a bundle together. */
export interface Cargo {
  readonly name: string;
  readonly publicUnits: readonly Unit[];
  readonly secretUnits: readonly Unit[];
}

/** Braces of a shard, and the gzip headers around them. */
const reserve = 64;
/** Never more than this is added by gzip to text that it cannot shrink: header, trailer, five bytes per stored block. */
const overhead = (bytes: number) => bytes + 64 + 5 * Math.ceil(bytes / 16_384);

/**
 * Loads as much as the shards of an MTA hold. What does not fit stays out as a whole, and smaller ones behind it still go in:
 * too much data must never cost the whole MTA, nor one giant its neighbours.
 *
 * @param cargo most important first; a unit that several name is carried once
 * @returns names of what fits
 */
export function whatFits(cargo: readonly Cargo[]): Set<string> {
  const sure = load(cargo, (unit) => overhead(Buffer.byteLength(unit.text) + Buffer.byteLength(unit.key)));
  // Compressing everything only to measure it costs a second for a full MTA: done only where it may matter.
  return sure.size === cargo.length ? sure : load(cargo, (unit) => packedSize(unit, gzip));
}

function load(cargo: readonly Cargo[], sizeOf: (unit: Unit) => number): Set<string> {
  const used = new Map<string, number>();
  const carried = new Set<string>();
  const taken = new Set<string>();
  for (const { name, publicUnits, secretUnits } of cargo) {
    const added = new Map<string, number>();
    const fresh = [
      ...publicUnits.map((unit) => ({ unit, kind: 'public' as const })),
      ...secretUnits.map((unit) => ({ unit, kind: 'secret' as const })),
    ].filter(({ unit, kind }) => !carried.has(`${kind} ${unit.key}`));
    for (const { unit, kind } of fresh) {
      const shard = `${kind} ${shardOf(unit.key, kind)}`;
      added.set(shard, (added.get(shard) ?? used.get(shard) ?? reserve) + sizeOf(unit));
    }
    if ([...added.values()].some((size) => size > maxShardBytes)) continue;
    for (const [shard, size] of added) used.set(shard, size);
    for (const { unit, kind } of fresh) carried.add(`${kind} ${unit.key}`);
    taken.add(name);
  }
  return taken;
}
