import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import { parseAddress } from './address.ts';
import { expandRange, formatRange, parseRange, rangeFault } from './range.ts';

describe('parseRange', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1/32', '192.0.2.1'],
    ['192.0.2.0/24', '192.0.2.0/24'],
    ['0.0.0.0/1', '0.0.0.0/1'],
    ['128.0.0.0/1', '128.0.0.0/1'],
    ['2001:DB8:0::/32', '2001:db8::/32'],
    ['2001:db8::1/128', '2001:db8::1'],
    ['8000::/1', '8000::/1'],
  ])('A3: %s is an entry, written %s', (text, canonical) => {
    const range = parseRange(text);
    expect(range && formatRange(range)).toBe(canonical);
    expect(rangeFault(text)).toBeUndefined();
  });

  test.each([
    ['010.0.0.1', 'is no IP address'],
    ['10.1', 'is no IP address'],
    ['0x7f.1', 'is no IP address'],
    ['10.0.0.1-10.0.0.9', 'is no IP address'],
    ['__proto__', 'is no IP address'],
    ['', 'is no IP address'],
    ['::ffff:10.0.0.1', 'is an IPv4-mapped address; write the IPv4 address'],
    ['::ffff:a00:1/128', 'is an IPv4-mapped address; write the IPv4 address'],
    ['fe80::1%eth0', 'has a zone; write the address without it'],
    ['10.0.0.0/0', 'has no prefix length of 1 to 32 after the slash'],
    ['::/0', 'has no prefix length of 1 to 128 after the slash'],
    ['10.0.0.0/33', 'has no prefix length of 1 to 32 after the slash'],
    ['10.0.0.0/08', 'has no prefix length of 1 to 32 after the slash'],
    ['10.0.0.0/8abc', 'has no prefix length of 1 to 32 after the slash'],
    ['10.0.0.0/', 'has no prefix length of 1 to 32 after the slash'],
    ['10.0.0.0/255.0.0.0', 'has no prefix length of 1 to 32 after the slash'],
    ['10.0.0.1/24', 'has host bits; write 10.0.0.0/24'],
    ['2001:db8::1/64', 'has host bits; write 2001:db8::/64'],
    ['2001:db8::1:0/111', 'has host bits; write 2001:db8::/111'],
  ])('A3: %j %s', (text, fault) => {
    expect(parseRange(text)).toBeUndefined();
    expect(rangeFault(text)).toBe(fault);
  });
});

describe('expandRange', () => {
  const written = (text: string) => expandRange(text)?.map(formatRange);

  test.each([
    ['10.0.0.1-10.0.0.6', ['10.0.0.1', '10.0.0.2/31', '10.0.0.4/31', '10.0.0.6']],
    ['10.0.0.0-10.0.0.255', ['10.0.0.0/24']],
    ['10.0.0.7-10.0.0.7', ['10.0.0.7']],
    ['::ffff:10.0.0.0-10.0.0.1', ['10.0.0.0/31']],
    ['2001:db8::-2001:db8::ffff', ['2001:db8::/112']],
    ['::ffff:10.0.0.1', ['10.0.0.1']],
    ['::ffff:10.0.0.0/104', ['10.0.0.0/8']],
    ['10.0.0.0/8', ['10.0.0.0/8']],
    ['0.0.0.1-255.255.255.255', Array.from({ length: 32 }, (_, i) => formatted(2 ** i, 32 - i))],
  ])('A3: %s is %j', (text, expected) => {
    expect(written(text)).toEqual(expected);
  });

  test.each([
    '10.0.0.2-10.0.0.1',
    '10.0.0.1-2001:db8::1',
    '0.0.0.0-255.255.255.255',
    '::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '10.0.0.1-10.0.0.2-10.0.0.3',
    '10.0.0.1-',
    '-10.0.0.1',
    '10.0.0.1-9',
    '010.0.0.1-10.0.0.9',
    '::ffff:10.0.0.1/104',
    '::ffff:0:0/96',
    'fe80::1%a-fe80::2%b',
    '10.0.0.0/8-11.0.0.0/8',
  ])('A3: %s is refused', (text) => {
    expect(expandRange(text)).toBeUndefined();
  });

  test('A3: the CIDRs of a range hold its addresses and no others', () => {
    const word = fc.integer({ min: 0, max: 0xffffffff });
    fc.assert(
      fc.property(word, word, fc.integer({ min: 0, max: 300 }), (a, b, near) => {
        const first = Math.min(a, b);
        const last = Math.max(a, b);
        fc.pre(first > 0 || last < 0xffffffff);
        const ranges = expandRange(`${dotted(first)}-${dotted(last)}`) ?? [];
        const holds = (value: number) =>
          ranges.some((range) => ipaddr.IPv4.parse(dotted(value)).match(...cidrOf(formatRange(range))));
        for (const value of [first, last, first + near, last - near]) {
          if (value >= first && value <= last) expect(holds(value)).toBe(true);
        }
        if (first > 0) expect(holds(first - 1)).toBe(false);
        if (last < 0xffffffff) expect(holds(last + 1)).toBe(false);
        expect(ranges.reduce((sum, { prefix }) => sum + 2 ** (32 - prefix), 0)).toBe(last - first + 1);
      }),
      { numRuns: 500 },
    );
  });
});

function dotted(value: number): string {
  return [value / 2 ** 24, value / 2 ** 16, value / 2 ** 8, value]
    .map((part) => Math.floor(part) % 256)
    .join('.');
}

function formatted(first: number, prefix: number): string {
  return prefix === 32 ? dotted(first) : `${dotted(first)}/${prefix}`;
}

function cidrOf(text: string): [ipaddr.IPv4, number] {
  return ipaddr.IPv4.parseCIDR(text.includes('/') ? text : `${text}/32`);
}

test('parseAddress and parseRange agree on plain addresses', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const range = parseRange(text);
      if (range !== undefined) expect(range.address).toEqual(parseAddress(text));
    }),
  );
});
