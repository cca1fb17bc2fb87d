import { BlockList, isIPv6 } from 'node:net';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import { parseAddress } from './address.ts';
import { formatRange, maskAddress, parseRange } from './range.ts';
import { buildRangeIndex, findRange, type RangeIndex } from './range-index.ts';

describe('findRange', () => {
  // Few distinct high bits, so that ranges nest and probes hit.
  const bits = fc.constantFrom('0', '1', '2', '128', '255');
  const four = fc.tuple(bits, bits, bits, bits).map((parts) => parts.join('.'));
  const group = fc.constantFrom('0', '1', 'ff', '8000', 'ffff');
  const six = fc
    .tuple(fc.constantFrom('2001', 'fe80', '0'), ...Array.from({ length: 7 }, () => group))
    .map((parts) => parts.join(':'));
  const address = fc.oneof(four, six);
  const range = fc.tuple(address, fc.integer({ min: 1, max: 128 })).map(([text, length]) => {
    const parsed = parseAddress(text);
    if (parsed === undefined) throw new Error(text);
    const prefix = parsed.family === 4 ? Math.min(length, 32) : length;
    return formatRange({ address: maskAddress(parsed, prefix), prefix });
  });
  const ranges = fc.array(range, { maxLength: 40 }).map((texts) => texts.filter((text) => parseRange(text)));

  test('A10: agrees with net.BlockList and ipaddr.js on who is in a list', () => {
    fc.assert(
      fc.property(ranges, fc.array(address, { minLength: 1, maxLength: 20 }), (texts, probes) => {
        const index = build(texts);
        // One for each family: BlockList finds an IPv4 address in `::/1` too, by its mapped form.
        const blockLists = { ipv4: new BlockList(), ipv6: new BlockList() };
        for (const text of texts)
          addSubnet(blockLists[isIPv6(text.split('/')[0] ?? '') ? 'ipv6' : 'ipv4'], text);
        for (const probe of probes) {
          const found = find(index, probe) !== undefined;
          const plain = ipaddr.process(probe);
          expect(found).toBe(blockLists[plain.kind()].check(plain.toString(), plain.kind()));
          expect(found).toBe(texts.some((text) => holds(text, probe)));
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('A10: names the narrowest entry that holds the address', () => {
    fc.assert(
      fc.property(ranges, address, (texts, probe) => {
        const lengths = texts
          .filter((text) => holds(text, probe))
          .map((text) => parseRange(text)?.prefix ?? 0);
        const found = find(build(texts), probe);
        expect(found === undefined ? undefined : parseRange(found)?.prefix).toBe(
          lengths.length === 0 ? undefined : Math.max(...lengths),
        );
        if (found !== undefined) expect(holds(found, probe)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test('A10: the order of the entries does not matter', () => {
    fc.assert(
      fc.property(ranges, address, (texts, probe) => {
        expect(find(build([...texts].reverse()), probe)).toBe(find(build(texts), probe));
      }),
    );
  });

  test('B5: an entry stops acting at its expiry, and the wider one below goes on', () => {
    const index = build(['10.0.0.0/8', '10.1.0.0/16', '10.1.2.3'], { '10.1.2.3': 100, '10.1.0.0/16': 200 });
    expect(find(index, '10.1.2.3', 99)).toBe('10.1.2.3');
    expect(find(index, '10.1.2.3', 100)).toBe('10.1.0.0/16');
    expect(find(index, '10.1.2.3', 199.5)).toBe('10.1.0.0/16');
    expect(find(index, '10.1.2.3', 200)).toBe('10.0.0.0/8');
    expect(find(build(['2001:db8::1'], { '2001:db8::1': 5 }), '2001:db8::1', 5)).toBeUndefined();
  });

  test('A11: a mapped peer is looked up among the IPv4 entries', () => {
    expect(find(build(['192.0.2.0/24']), '::ffff:192.0.2.7')).toBe('192.0.2.0/24');
    expect(find(build(['::/1']), '::ffff:192.0.2.7')).toBeUndefined();
  });

  test('A2: 10,000 entries are found, each by its own text, and their neighbours are not', () => {
    const texts = Array.from({ length: 5000 }, (_, i) => [
      `10.${i >>> 8}.${i & 255}.${(i * 7) & 254}`,
      `2001:db8:${(i + 1).toString(16)}::/48`,
    ]).flat();
    const index = build(texts);
    for (const text of texts) expect(find(index, text.replace('::/48', '::1'))).toBe(text);
    for (let i = 0; i < 5000; i += 37) {
      expect(find(index, `10.${i >>> 8}.${i & 255}.${((i * 7) & 254) | 1}`)).toBeUndefined();
      expect(find(index, `2001:db9:${i.toString(16)}::1`)).toBeUndefined();
    }
  });

  test('an entry that is no range is named', () => {
    expect(() => build(['10.0.0.1/8'])).toThrow('"10.0.0.1/8" is no canonical address or CIDR');
  });
});

function build(texts: readonly string[], expires: Record<string, number> = {}): RangeIndex {
  const work = buildRangeIndex(texts, expires);
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

function find(index: RangeIndex, probe: string, now = 0): string | undefined {
  const address = parseAddress(probe);
  if (address === undefined) throw new Error(probe);
  const range = findRange(index, address, now);
  return range && formatRange(range);
}

function holds(text: string, probe: string): boolean {
  const [network = '', prefix] = text.split('/');
  const address = ipaddr.process(probe);
  const base = ipaddr.parse(network);
  if (address.kind() !== base.kind()) return false;
  return address.match(base, prefix === undefined ? base.toByteArray().length * 8 : Number(prefix));
}

function addSubnet(blockList: BlockList, text: string): void {
  const [network = '', prefix] = text.split('/');
  const family = isIPv6(network) ? 'ipv6' : 'ipv4';
  blockList.addSubnet(network, Number(prefix ?? (family === 'ipv6' ? 128 : 32)), family);
}
