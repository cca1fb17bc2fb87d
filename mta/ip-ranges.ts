import { type Address, parseAddress } from '../policy/ip/address.ts';
import { addressBits, parseRange, type Range } from '../policy/ip/range.ts';

/**
 * A test whether an address lies in one of a few ranges: those of settings, not of policy.
 * @param what for messages.
 * @param entries addresses and CIDRs.
 * @throws Error naming an entry that is neither.
 */
export function rangeTest(what: string, entries: readonly string[]): (ip: string) => boolean {
  const ranges = entries.map((entry) => {
    const range = parseRange(entry);
    if (range === undefined) throw new Error(`${what}: ${JSON.stringify(entry)} is no address and no CIDR`);
    return range;
  });
  return (ip) => {
    if (ranges.length === 0) return false;
    const address = parseAddress(ip);
    return address !== undefined && ranges.some((range) => holds(range, address));
  };
}

function holds({ address: first, prefix }: Range, address: Address): boolean {
  if (first.family !== address.family) return false;
  const words = addressBits(first.family) / 32;
  for (let i = 0, bits = prefix; i < words && bits > 0; i += 1, bits -= 32) {
    const mask = bits >= 32 ? 0xffffffff : ~(0xffffffff >>> bits);
    if ((((first.words[i] ?? 0) ^ (address.words[i] ?? 0)) & mask) !== 0) return false;
  }
  return true;
}
