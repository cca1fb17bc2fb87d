import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from './canonical.ts';
import { rawUnits } from './shard-content.ts';

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');
const unitsOf = (text: string | Uint8Array) => {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  return [...rawUnits('00.json.gz', bytes, sha256(bytes), sha256)].map(({ key, parse }) => [key, parse()]);
};
const byKey = (entries: (readonly unknown[])[]) =>
  entries.toSorted(([left], [right]) => (String(left) < String(right) ? -1 : 1));

describe('cutting a shard into units', () => {
  test('gives what parsing it whole would give, whatever stands in keys and values', () => {
    const text = fc.string({ unit: 'binary' });
    const value = fc.jsonValue({ stringUnit: 'binary' });
    fc.assert(
      fc.property(
        fc.dictionary(fc.oneof(text, fc.constantFrom('"', '\\', '\\"', ',', '":{', '__proto__')), value),
        (object) => {
          const shard = canonicalJson(object);
          // A parsed object moves keys like "0" to its front; the shard keeps them where they sort.
          expect(byKey(unitsOf(shard))).toEqual(byKey(Object.entries(JSON.parse(shard))));
        },
      ),
    );
  });

  test('never takes a shard that lost or gained bytes at its end', () => {
    const shard = '{"a":{"b":["]","}\\""]},"c":"é\\\\","d":[1,{}],"e":"x"}';
    expect(unitsOf(shard)).toHaveLength(4);
    const bytes = Buffer.from(shard);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => unitsOf(bytes.subarray(0, length))).toThrow('00.json.gz: is not a JSON object');
    }
    for (const more of ['}', ',', ' ', '"', '{}', '\0']) {
      expect(() => unitsOf(shard + more)).toThrow('00.json.gz: is not a JSON object');
    }
  });

  test.each([
    '{"a":}',
    '{"a"}',
    '{a:1}',
    '{,}',
    '{"a":1,}',
    '{"a":1:2}',
    '{"a":01}',
    '{"a":1]',
    '{"a":[1}',
    '{1:1}',
  ])('%s is refused', (text) => {
    expect(() => unitsOf(text)).toThrow('00.json.gz: is not a JSON object');
  });

  test('bytes that are no UTF-8 are refused, without quoting them', () => {
    const bytes = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    expect(() => unitsOf(bytes)).toThrow(/^00\.json\.gz: is not a JSON object$/);
  });

  test('a value that nobody asks for is not looked at', () => {
    const bytes = Buffer.from('{"a":nonsense,"b":2}');
    const units = [...rawUnits('00.json.gz', bytes, sha256(bytes), sha256)];
    expect(units.map(({ key }) => key)).toEqual(['a', 'b']);
    expect(units[1]?.parse()).toBe(2);
    expect(() => units[0]?.parse()).toThrow('is not a JSON object');
  });
});
