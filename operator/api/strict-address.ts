/**
 * The address grammar of the API: what Kubernetes' CEL functions `isIP`, `isCIDR` and `cidr().masked()` take, which is
 * Go's net/netip without zones and without IPv4-mapped forms. Leading zeros, `::ffff:a.b.c.d`, short forms (`10.1`) and
 * hexadecimal are refused, so one address has one meaning. A property test holds this against a real API server.
 */

/** An address or network: its bytes in network order (4 or 16) and the prefix length (32 or 128 for a plain address). */
export type StrictNetwork = { bytes: readonly number[]; prefixLength: number };

const decimalOctet = /^(?:0|[1-9][0-9]{0,2})$/;
const hexGroup = /^[0-9a-fA-F]{1,4}$/;
const decimalNumber = /^(?:0|[1-9][0-9]{0,2})$/;

/**
 * Parses a plain IPv4 or IPv6 address.
 *
 * @param text the address, without brackets, port, zone or prefix length
 * @returns 4 or 16 bytes in network order, or undefined if the text is no strict address
 */
export function parseStrictIp(text: string): number[] | undefined {
  const bytes = text.includes(':') ? parseIpv6(text) : parseIpv4(text);
  return bytes !== undefined && isMapped(bytes) ? undefined : bytes;
}

/**
 * Parses an address with a prefix length, host bits or not.
 *
 * @param text for example `192.0.2.0/24`
 * @returns the network as written, or undefined if the text is no strict CIDR
 */
export function parseStrictCidr(text: string): StrictNetwork | undefined {
  const slash = text.lastIndexOf('/');
  if (slash < 0) return undefined;
  const bytes = parseStrictIp(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (bytes === undefined || !decimalNumber.test(digits)) return undefined;
  const prefixLength = Number(digits);
  return prefixLength <= bytes.length * 8 ? { bytes, prefixLength } : undefined;
}

/** Whether any bit right of the prefix is set: `10.0.0.1/8` names one host and a network at once. */
export function hasHostBits(network: StrictNetwork): boolean {
  return network.bytes.some((byte, index) => {
    const networkBits = Math.min(8, Math.max(0, network.prefixLength - index * 8));
    return (byte & (0xff >> networkBits)) !== 0;
  });
}

/** Whether the text is an address, or a CIDR with a prefix over 0 and without host bits: an entry of an IP list. */
export function isAccessAddress(text: string): boolean {
  if (!text.includes('/')) return parseStrictIp(text) !== undefined;
  const network = parseStrictCidr(text);
  return network !== undefined && network.prefixLength > 0 && !hasHostBits(network);
}

function parseIpv4(text: string): number[] | undefined {
  const octets = text.split('.');
  if (octets.length !== 4) return undefined;
  const bytes: number[] = [];
  for (const octet of octets) {
    const value = Number(octet);
    if (!decimalOctet.test(octet) || value > 255) return undefined;
    bytes.push(value);
  }
  return bytes;
}

function parseIpv6(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [left = '', right] = halves;
  const head = parseGroups(left, right === undefined);
  if (head === undefined) return undefined;
  if (right === undefined) return head.length === 16 ? head : undefined;
  const tail = parseGroups(right, true);
  // "::" stands for at least one group of zeros, as in Go.
  if (tail === undefined || head.length + tail.length > 14) return undefined;
  const zeros = Array.from({ length: 16 - head.length - tail.length }, () => 0);
  return [...head, ...zeros, ...tail];
}

/** Groups between colons; only at the very end the last two may be written as an IPv4 address. */
function parseGroups(text: string, atEnd: boolean): number[] | undefined {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    if (hexGroup.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
      continue;
    }
    const embedded = atEnd && index === groups.length - 1 ? parseIpv4(group) : undefined;
    if (embedded === undefined) return undefined;
    bytes.push(...embedded);
  }
  return bytes;
}

function isMapped(bytes: readonly number[]): boolean {
  return (
    bytes.length === 16 &&
    bytes.slice(0, 10).every((byte) => byte === 0) &&
    bytes[10] === 0xff &&
    bytes[11] === 0xff
  );
}
