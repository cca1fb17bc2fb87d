import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseDocuments } from './documents.ts';
import { foldLists } from './long-lists.ts';

const addresses = Array.from({ length: 300 }, (_, index) => `10.1.${index >> 8}.${index & 255}`);
const lines = (items: readonly string[], indent = '  ') =>
  items.map((item) => `${indent}- ${item}\n`).join('');
const values = (text: string) => parseDocuments('l.yaml', text).documents.map(({ value }) => value);

describe('long lists of addresses', () => {
  it('are folded, and read as the YAML parser reads them', () => {
    const text = `a:\n${lines(addresses)}b: 1\n---\nc:\n  d:\n${lines(addresses, '  ')}  - more\n`;
    expect(foldLists(text)?.runs.map(({ length }) => length)).toEqual([300, 300]);
    expect(values(text)).toEqual([{ a: addresses, b: 1 }, { c: { d: [...addresses, 'more'] } }]);
  });

  it('any list of address-like items is read as the YAML parser reads it', () => {
    const part = fc.constantFrom(
      '1',
      '10',
      'a',
      ':',
      '::',
      '.',
      '/',
      '2001:db8',
      '192.0.2.1',
      '1:2',
      '0x1',
      'e3',
    );
    const item = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join(''));
    const quote = fc.constantFrom('', '"', "'");
    const tail = fc.constantFrom('', ' ', ' # note', '#x', ' x');
    const line = fc.tuple(quote, item, tail).map(([mark, text, end]) => `${mark}${text}${mark}${end}`);
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 4 }), fc.nat(3), (odd, at) => {
        const list = [...addresses.slice(0, 250), ...odd, ...addresses.slice(0, 250 - at)];
        const text = `a:\n${lines(list)}`;
        const whole = parseDocuments('l.yaml', `# &x\nb: &x 1\n${text}`);
        const [plain] = whole.documents;
        const [folded] = values(`b: 1\n${text}`);
        expect(folded).toEqual(whole.broken.length > 0 ? undefined : plain?.value);
      }),
      { numRuns: 60 },
    );
  });

  it('that are part of a longer text stay that text', () => {
    const text = `text: |\n${lines(addresses)}`;
    expect(values(text)).toEqual([{ text: lines(addresses, '') }]);
    expect(values(`text: "a\n${lines(addresses)}  b"\n`)).toEqual([
      { text: `a ${addresses.map((address) => `- ${address}`).join(' ')} b` },
    ]);
  });

  it('an address on two lines is one text', () => {
    const text = `a:\n${lines(addresses)}      and more\n`;
    expect(values(text)).toEqual([parse(text)]);
  });

  it('with anchors in the file everything goes to the parser', () => {
    const text = `a: &list\n${lines(addresses)}b: *list\n`;
    expect(foldLists(text)).toBeUndefined();
    expect(values(text)).toEqual([{ a: addresses, b: addresses }]);
  });

  it('places are those of the file', () => {
    const [document] = parseDocuments('l.yaml', `a:\n${lines(addresses)}b:\n  c: wrong\n`).documents;
    expect(document?.locate(['a', 299])).toEqual({ file: 'l.yaml', line: 301, column: 5 });
    expect(document?.locate(['b', 'c'])).toEqual({ file: 'l.yaml', line: 303, column: 6 });
  });

  it('a file that is broken elsewhere says where', () => {
    const { broken, documents } = parseDocuments('l.yaml', `a:\n${lines(addresses)}b: [\n`);
    expect(documents).toEqual([]);
    expect(broken[0]?.position.line).toBe(303);
  });
});
