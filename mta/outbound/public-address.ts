import { BlockList, isIPv6 } from 'node:net';
import { internalRanges } from '../../policy/ip/internal-ranges.ts';

/**
 * Says whether mail for others may be sent to an address.
 * @param allowed CIDRs and addresses that are taken although they are internal.
 */
export function addressFilter(allowed: readonly string[]): (address: string) => boolean {
  const internal = blockListOf(internalRanges);
  const exceptions = blockListOf(allowed);
  return (address) => {
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    return !internal.check(address, family) || exceptions.check(address, family);
  };
}

function blockListOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/');
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return list;
}
