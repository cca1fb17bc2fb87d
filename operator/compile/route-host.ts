import { parseAddress } from '../../policy/ip/address.ts';
import { formatRange, parseRange } from '../../policy/ip/range.ts';
import type { CompileOptions } from './model.ts';
import { coverOf, isCovered } from './range-cover.ts';

/**
 * Where no Route may lead (R7): whoever may write a Route must not reach the machine's own services, cloud metadata or the API
 * server through the MTA. The MTA checks the addresses that names resolve to once more, when it connects.
 */
const refusedRanges: readonly (readonly [range: string, what: string])[] = [
  ['0.0.0.0/8', 'this host'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local (cloud metadata)'],
  ['224.0.0.0/3', 'multicast or reserved'],
  ['::/127', 'loopback'],
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'site-local'],
  ['ff00::/8', 'multicast'],
  ['fd00:ec2::/32', 'cloud metadata'],
  // Addresses that carry an IPv4 address: NAT64, 6to4, IPv4-compatible, Teredo.
  ['64:ff9b::/96', 'NAT64'],
  ['64:ff9b:1::/48', 'NAT64'],
  ['2002::/16', '6to4'],
  ['::/96', 'IPv4-compatible'],
  ['2001::/32', 'Teredo'],
];

const refusedNames = [
  /^localhost$/,
  /\.localhost$/,
  /^metadata\.google\.internal$/,
  /^kubernetes\.default(\.svc(\..*)?)?$/,
];

/** The host of a Route as the MTA resolves it: a single label is a Service of the namespace. */
export function fullHost(host: string, namespace: string, options: CompileOptions): string {
  const single = !host.includes('.') && !host.includes(':');
  return single && options.clusterDomain !== '' ? `${host}.${namespace}.svc.${options.clusterDomain}` : host;
}

/**
 * Why a Route may not lead to this host.
 *
 * @param host full name or address
 * @returns undefined if it may
 */
export function hostFault(host: string, options: CompileOptions): string | undefined {
  const address = parseAddress(host);
  if (address === undefined) {
    // A name that is always loopback is as good as the address.
    const loopback = /^localhost$|\.localhost$/.test(host) && isAllowed('127.0.0.1', options);
    const refused = refusedNames.some((name) => name.test(host.replace(/\.$/, '')));
    return refused && !loopback
      ? `${host} is a name of this host, of cloud metadata or of the API server`
      : undefined;
  }
  const range = { address, prefix: address.family === 4 ? 32 : 128 };
  const own = (options.apiServerRanges ?? []).map((text) => [text, 'the API server'] as const);
  for (const [text, what] of [...refusedRanges, ...own]) {
    const refused = parseRange(text);
    if (refused === undefined || !isCovered(range, coverOf([refused]))) continue;
    if (isAllowed(host, options)) return undefined;
    return `${host} lies in ${formatRange(refused)}, ${what}`;
  }
  return undefined;
}

function isAllowed(host: string, options: CompileOptions): boolean {
  const address = parseAddress(host);
  if (address === undefined) return false;
  const allowed = options.allowedRouteRanges.flatMap((text) => parseRange(text) ?? []);
  return isCovered({ address, prefix: address.family === 4 ? 32 : 128 }, coverOf(allowed));
}
