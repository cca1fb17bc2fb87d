import { BlockList, isIPv6 } from 'node:net';

/**
 * Ranges that are nobody's mail server on the Internet (IANA special-purpose registries). Anyone can point an MX at them, so
 * that we would connect to a service inside our own network.
 */
const internalRanges = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/3',
  '::/127',
  '64:ff9b:1::/48',
  'fc00::/7',
  'fe80::/10',
  'ff00::/8',
];

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
