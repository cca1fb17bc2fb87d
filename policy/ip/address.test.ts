import { isIP } from 'node:net';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import { formatAddress, parseAddress, parseUnmapped } from './address.ts';

const v4 = fc.ipV4();
// ipaddr.js reads the old `::192.0.2.1` as if `::ffff:` stood before it; RFC 4291 says otherwise.
const v6 = fc.ipV6().filter((text) => !/^::[\d.]+$/.test(text));
/** Texts that are nearly addresses: the interesting ones are one edit away from a good one. */
const nearly = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'0123456789abcdefABCDEF:.%/x '), maxLength: 45 }),
  fc
    .tuple(fc.oneof(v4, v6), fc.nat(45), fc.constantFrom('', '0', ':', '.', '::', 'f', '%', ' ', '00', '-'))
    .map(([text, at, insert]) => text.slice(0, at) + insert + text.slice(at + (insert === '' ? 1 : 0))),
  fc.tuple(v6, v4).map(([six, four]) => `${six.replace(/[0-9a-f]+:[0-9a-f]+$/i, '')}${four}`),
);

describe('parseAddress', () => {
  test('A3: takes exactly the texts that net.isIP takes', () => {
    fc.assert(
      fc.property(fc.oneof(v4, v6, nearly), (text) => {
        expect(parseAddress(text) !== undefined).toBe(isIP(text) !== 0);
      }),
      { numRuns: 5000 },
    );
  });

  test('A11: reads the same bits as ipaddr.js, and a mapped address as the IPv4 address in it', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          v4,
          v6,
          v4.map((text) => `::ffff:${text}`),
        ),
        (text) => {
          const address = parseAddress(text);
          const bytes = address?.words.flatMap((w) => [w >>> 24, (w >>> 16) & 255, (w >>> 8) & 255, w & 255]);
          expect(bytes).toEqual(ipaddr.process(text).toByteArray());
        },
      ),
      { numRuns: 5000 },
    );
  });

  test('formatAddress writes what ipaddr.js calls RFC 5952, and reads itself back', () => {
    const groups = fc
      .array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
      .map((parts) => parts.map((part) => part.toString(16)).join(':'));
    fc.assert(
      fc.property(fc.oneof(v4, v6, groups), (text) => {
        const address = parseUnmapped(text);
        if (address === undefined) throw new Error(`${text} was not read`);
        const mapped = /^::ffff:\d/.test(formatAddress(address));
        if (!mapped) {
          const oracle = ipaddr.parse(text);
          const expected =
            oracle.kind() === 'ipv6' ? ipaddr.IPv6.parse(text).toRFC5952String() : oracle.toString();
          expect(formatAddress(address)).toBe(expected);
        }
        expect(parseUnmapped(formatAddress(address))).toEqual(address);
      }),
      { numRuns: 3000 },
    );
  });

  test.each([
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::192.0.2.1', '::c000:201'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['::', '::'],
    ['1::', '1::'],
  ])('A11: %s is %s', (text, canonical) => {
    const address = parseAddress(text);
    expect(address && formatAddress(address)).toBe(canonical);
  });

  test.each([
    '010.0.0.1',
    '10.1',
    '0x7f.0.0.1',
    '0x7f000001',
    '2130706433',
    '1.2.3.4.5',
    '1.2.3.',
    '256.1.1.1',
    ' 1.2.3.4',
    '1.2.3.4 ',
    '1.2.3.4\0',
    '::ffff:010.0.0.1',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    'fe80::1%',
    '::1%a b',
    '[::1]',
    '１.2.3.4',
    '__proto__',
    '',
    `${'1'.repeat(100_000)}.1.1.1`,
    ':'.repeat(100_000),
  ])('A3: %j is no address', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
});
