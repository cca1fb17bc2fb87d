import type { Address } from './address.ts';
import { formatAddress, isMapped, parseAddress, parseUnmapped } from './address.ts';

/** A CIDR without host bits: `address` is its first address. `prefix` is 1..32 for IPv4, 1..128 for IPv6. */
export interface Range {
  readonly address: Address;
  readonly prefix: number;
}

/** Bits of an address of the family. */
export function addressBits(family: 4 | 6): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/**
 * Reads an entry of a list: an address or a CIDR. Strict, so that an entry means what it looks like: no leading zeros, no
 * IPv4-mapped form, no zone, no host bits, prefix > 0 (a list that holds everybody is a mistake).
 * @returns undefined if the text is none; `rangeFault` says why.
 */
export function parseRange(text: string): Range | undefined {
  const range = readRange(text);
  return typeof range === 'string' ? undefined : range;
}

/** Why `parseRange` refuses the text, as the end of a sentence; undefined if it does not. */
export function rangeFault(text: string): string | undefined {
  const range = readRange(text);
  return typeof range === 'string' ? range : undefined;
}

/** Canonical text (RFC 5952); a full-length prefix is written as the address alone. */
export function formatRange({ address, prefix }: Range): string {
  const text = formatAddress(address);
  return prefix === addressBits(address.family) ? text : `${text}/${prefix}`;
}

/**
 * Reads one word of a free-text list: all that `parseRange` takes, the IPv4-mapped forms, and `first-last` with both ends in
 * the range.
 * @returns the fewest CIDRs that cover exactly these addresses, ascending; undefined if the text is none of these, the ends
 *   are of two families or in the wrong order, or the range holds every address of its family.
 */
export function expandRange(text: string): Range[] | undefined {
  const dash = text.indexOf('-');
  if (dash < 0) {
    const range = parseRange(text) ?? parseMappedRange(text);
    return range === undefined ? undefined : [range];
  }
  if (text.includes('%')) return undefined;
  const first = parseAddress(text.slice(0, dash));
  const last = parseAddress(text.slice(dash + 1));
  if (first === undefined || last === undefined || first.family !== last.family) return undefined;
  return cover(first, last);
}

function readRange(text: string): Range | string {
  const slash = text.indexOf('/');
  const host = slash < 0 ? text : text.slice(0, slash);
  if (host.includes('%')) return 'has a zone; write the address without it';
  const address = parseUnmapped(host);
  if (address === undefined) return 'is no IP address';
  if (isMapped(address)) return 'is an IPv4-mapped address; write the IPv4 address';
  const bits = addressBits(address.family);
  const prefix = slash < 0 ? bits : parsePrefix(text.slice(slash + 1), bits);
  if (prefix === undefined) return `has no prefix length of 1 to ${bits} after the slash`;
  const network = maskAddress(address, prefix);
  if (!sameWords(network, address)) {
    return `has host bits; write ${formatRange({ address: network, prefix })}`;
  }
  return { address, prefix };
}

function parseMappedRange(text: string): Range | undefined {
  const slash = text.indexOf('/');
  const mapped = parseUnmapped(slash < 0 ? text : text.slice(0, slash));
  if (mapped === undefined || !isMapped(mapped) || text.includes('%')) return undefined;
  const length = slash < 0 ? 128 : parsePrefix(text.slice(slash + 1), 128);
  if (length === undefined || length <= 96) return undefined;
  const address: Address = { family: 4, words: [mapped.words[3] ?? 0] };
  const prefix = length - 96;
  return sameWords(maskAddress(address, prefix), address) ? { address, prefix } : undefined;
}

/** 1..bits in decimal without leading zeros. */
function parsePrefix(text: string, bits: number): number | undefined {
  if (!/^[1-9][0-9]{0,2}$/.test(text)) return undefined;
  const prefix = Number(text);
  return prefix > bits ? undefined : prefix;
}

/** The address with all bits after `prefix` cleared. */
export function maskAddress(address: Address, prefix: number): Address {
  return {
    family: address.family,
    words: address.words.map((word, i) => (word & wordMask(prefix, i)) >>> 0),
  };
}

/** The part of a prefix mask that falls on word `i`. */
function wordMask(prefix: number, i: number): number {
  const bits = Math.min(32, Math.max(0, prefix - 32 * i));
  return bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0;
}

function sameWords(a: Address, b: Address): boolean {
  return a.words.every((word, i) => word === b.words[i]);
}

function cover(first: Address, last: Address): Range[] | undefined {
  const bits = addressBits(first.family);
  let start = toBigInt(first);
  const end = toBigInt(last);
  if (start > end) return undefined;
  const ranges: Range[] = [];
  while (start <= end) {
    let free = 0;
    while (
      free < bits &&
      (start & (1n << BigInt(free))) === 0n &&
      start + (1n << BigInt(free + 1)) - 1n <= end
    ) {
      free++;
    }
    if (free === bits) return undefined;
    ranges.push({ address: fromBigInt(start, first.family), prefix: bits - free });
    start += 1n << BigInt(free);
  }
  return ranges;
}

function toBigInt({ words }: Address): bigint {
  return words.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n);
}

function fromBigInt(value: bigint, family: 4 | 6): Address {
  const count = family === 4 ? 1 : 4;
  const words: number[] = [];
  for (let i = count - 1; i >= 0; i--) words.push(Number((value >> BigInt(32 * i)) & 0xffffffffn));
  return { family, words };
}
