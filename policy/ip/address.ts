/**
 * IP addresses as numbers. The parser is our own because the usual ones read `010.0.0.1` as 8.0.0.1 and take `10.1` or
 * `0x7f.1`: spellings that slip past a list. Whatever `net.isIP` refuses is refused here too.
 */

/** One address: one unsigned 32-bit word for IPv4, four (most significant first) for IPv6. */
export interface Address {
  readonly family: 4 | 6;
  readonly words: readonly number[];
}

const colon = 0x3a;
const dot = 0x2e;

/** Longest text that can be an address: `ffff:` six times, a dotted quad, and a zone. */
const longest = 45 + 1 + 16;

/**
 * Reads an address as it comes from a socket or a PROXY header. An IPv4-mapped address (`::ffff:192.0.2.1`, in either
 * spelling) is the IPv4 address in it; the zone of a link-local address is dropped.
 * @returns undefined for anything that is no address: leading zeros, hex or octal parts, integers, short forms.
 */
export function parseAddress(text: string): Address | undefined {
  const address = parseUnmapped(text);
  return address === undefined ? undefined : unmap(address);
}

/** As `parseAddress`, but an IPv4-mapped address stays IPv6: lists refuse that spelling. */
export function parseUnmapped(text: string): Address | undefined {
  if (text.length < 2 || text.length > longest) return undefined;
  for (let i = 0; i < text.length && i < 5; i++) {
    const code = text.charCodeAt(i);
    if (code === colon) return parseV6(text);
    if (code === dot) break;
  }
  const word = parseV4(text, 0, text.length);
  return word === undefined ? undefined : { family: 4, words: [word] };
}

/** The IPv4 address inside an IPv4-mapped one (RFC 4291 2.5.5.2); any other address unchanged. */
function unmap(address: Address): Address {
  return isMapped(address) ? { family: 4, words: [address.words[3] ?? 0] } : address;
}

/** Is it `::ffff:0:0/96`? */
export function isMapped({ family, words }: Address): boolean {
  return family === 6 && words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
}

/** Canonical text: dotted quad, or RFC 5952 (lower case, longest run of zero groups as `::`, mapped ones dotted). */
export function formatAddress(address: Address): string {
  if (address.family === 4) return formatV4(address.words[0] ?? 0);
  if (isMapped(address)) return `::ffff:${formatV4(address.words[3] ?? 0)}`;
  const parts = address.words.flatMap((word) => [word >>> 16, word & 0xffff]);
  const gap = longestZeroRun(parts);
  const hex = parts.map((group) => group.toString(16));
  if (gap.length < 2) return hex.join(':');
  return `${hex.slice(0, gap.start).join(':')}::${hex.slice(gap.start + gap.length).join(':')}`;
}

function formatV4(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 0xff}.${(word >>> 8) & 0xff}.${word & 0xff}`;
}

/** The first of the longest runs of zeros (RFC 5952 4.2.3). */
function longestZeroRun(parts: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < parts.length; start++) {
    let length = 0;
    while (parts[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
    start += length;
  }
  return best;
}

/** Four decimal parts without leading zeros between `from` and `to`; undefined otherwise. */
function parseV4(text: string, from: number, to: number): number | undefined {
  let word = 0;
  let part = 0;
  let digits = 0;
  let dots = 0;
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i);
    if (code === dot) {
      if (digits === 0 || dots === 3) return undefined;
      word = word * 256 + part;
      part = 0;
      digits = 0;
      dots++;
      continue;
    }
    const digit = code - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    if (digits > 0 && part === 0) return undefined;
    part = part * 10 + digit;
    digits++;
    if (part > 255) return undefined;
  }
  if (dots !== 3 || digits === 0) return undefined;
  return word * 256 + part;
}

/** The groups of the address that is being parsed: a new array for each would cost half of the parse. */
const groups = new Uint16Array(8);

function parseV6(text: string): Address | undefined {
  const end = endBeforeZone(text);
  if (end === undefined) return undefined;
  let count = 0;
  let gap = -1;
  let i = 0;
  if (text.charCodeAt(0) === colon) {
    if (text.charCodeAt(1) !== colon) return undefined;
    gap = 0;
    i = 2;
  }
  while (i < end) {
    if (count === 8) return undefined;
    const start = i;
    let group = 0;
    let code = 0;
    for (; i < end; i++) {
      code = text.charCodeAt(i);
      const digit = hexDigit(code);
      if (digit < 0) break;
      group = group * 16 + digit;
    }
    if (i < end && code === dot) {
      const quad = count > 6 ? undefined : parseV4(text, start, end);
      if (quad === undefined) return undefined;
      groups[count++] = quad >>> 16;
      groups[count++] = quad & 0xffff;
      break;
    }
    if (i === start || i - start > 4) return undefined;
    groups[count++] = group;
    if (i === end) break;
    if (code !== colon || ++i === end) return undefined;
    if (text.charCodeAt(i) === colon) {
      if (gap >= 0) return undefined;
      gap = count;
      i++;
    }
  }
  if (gap < 0 ? count !== 8 : count > 7) return undefined;
  if (gap >= 0) {
    groups.copyWithin(8 - count + gap, gap, count);
    groups.fill(0, gap, 8 - count + gap);
  }
  return { family: 6, words: [wordAt(0), wordAt(2), wordAt(4), wordAt(6)] };
}

function wordAt(group: number): number {
  return (groups[group] ?? 0) * 65536 + (groups[group + 1] ?? 0);
}

/** Where the address ends and `%zone` begins; undefined if the zone is empty or has odd characters. */
function endBeforeZone(text: string): number | undefined {
  const zone = text.indexOf('%');
  if (zone < 0) return text.length;
  return /^[0-9A-Za-z.:-]+$/.test(text.slice(zone + 1)) ? zone : undefined;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x41 && code <= 0x46) return code - 0x37;
  if (code >= 0x61 && code <= 0x66) return code - 0x57;
  return -1;
}
