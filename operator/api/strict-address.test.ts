import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import { hasHostBits, isAccessAddress, parseStrictCidr, parseStrictIp } from './strict-address.ts';

/** The other tests hold this grammar against a real API server (test/api); here the bytes are held against ipaddr.js. */
describe('strict addresses', () => {
  test('A3: any IPv4 address has the bytes that ipaddr.js reads', () => {
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        expect(parseStrictIp(text)).toEqual(ipaddr.parse(text).toByteArray());
      }),
    );
  });

  test('A11: any IPv6 address has the bytes that ipaddr.js reads, and IPv4-mapped ones are refused', () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        // ipaddr.js takes ::192.0.2.1 for ::ffff:192.0.2.1, which is another address: the URL parser writes it in hex first.
        const hex = new URL(`http://[${text}]/`).hostname.slice(1, -1);
        const expected = ipaddr.IPv6.parse(hex);
        expect(parseStrictIp(text)).toEqual(
          expected.isIPv4MappedAddress() ? undefined : expected.toByteArray(),
        );
      }),
    );
  });

  test('A3: a network has host bits unless it begins where ipaddr.js says', () => {
    const prefix = fc.integer({ min: 0, max: 32 });
    fc.assert(
      fc.property(fc.ipV4(), prefix, (text, length) => {
        const network = parseStrictCidr(`${text}/${length}`);
        const first = ipaddr.IPv4.networkAddressFromCIDR(`${text}/${length}`).toString();
        expect(network && hasHostBits(network)).toBe(first !== ipaddr.parse(text).toString());
        expect(isAccessAddress(`${first}/${length}`)).toBe(length > 0);
      }),
    );
  });
});
