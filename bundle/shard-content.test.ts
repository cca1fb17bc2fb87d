import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rawUnits } from './shard-content.ts';

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');
const unitsOf = (text: string | Uint8Array) => {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  return [...rawUnits('00.json.gz', bytes, sha256(bytes), sha256)].map(({ key, parse }) => [key, parse()]);
};

describe('cutting a shard into units', () => {
  test('gives the keys and values that were packed, whatever stands in them', () => {
    const text = fc.string({ unit: 'binary' });
    const key = fc.oneof(text, fc.constantFrom('"', '\\', '\\"', ',', '":{', '__proto__', '0'));
    // No keys inside values: V8 13.6 takes a key of one escape ("\n") for a backslash after an object that had that key.
    const value = fc.oneof(text, fc.array(fc.oneof(text, fc.integer(), fc.constant(null), fc.array(text))));
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(key, value), { selector: ([name]) => name }), (units) => {
        const shard = units.map(([name, content]) => `${JSON.stringify(name)}:${JSON.stringify(content)}`);
        expect(unitsOf(`{${shard.join(',')}}`)).toEqual(units);
      }),
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
