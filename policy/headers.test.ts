import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { authorsOf, readHeaders, receivedBy } from './headers.ts';
import { formatMailbox } from './mailbox.ts';

describe('readHeaders', () => {
  test('unfolds lines and stops at the empty one', () => {
    expect(readHeaders('From: a@b.example\r\nSubject: one\r\n two\r\n\tthree\r\nX:\r\n\r\nBody: no')).toEqual(
      [
        ['From', 'a@b.example'],
        ['Subject', 'one two\tthree'],
        ['X', ''],
      ],
    );
  });

  test('a line without a colon goes with what continues it', () => {
    expect(readHeaders('A: 1\r\nno colon\r\n: 2\r\n more\r\nB: 3\r\n')).toEqual([
      ['A', '1'],
      ['B', '3'],
    ]);
  });

  test('takes hostile names as names', () => {
    expect(readHeaders(' orphan\n__proto__: 1\nconstructor : 2\n: 3\nno colon\n')).toEqual([
      ['__proto__', '1'],
      ['constructor', '2'],
    ]);
  });
});

describe('authorsOf', () => {
  test.each([
    ['a@b.example', ['a@b.example']],
    ['<a@B.example>', ['a@b.example']],
    ['A. N. Other <a@b.example>', ['a@b.example']],
    ['"Other, A." <a@b.example>', ['a@b.example']],
    ['"quote \\" <x@y.example>" <a@b.example>', ['a@b.example']],
    ['Ünïcode ☃ <a@b.example>', ['a@b.example']],
    ['=?utf-8?q?J=C3=BCrgen?= <a@b.example>', ['a@b.example']],
    ['boss@bank.example <a@b.example>', ['a@b.example']],
    ['a@b.example (comment (nested) \\) still)', ['a@b.example']],
    ['(x) a@b.example', ['a@b.example']],
    ['Name (<evil@x.example>) <a@b.example>', ['a@b.example']],
    ['a@b.example, C <c@d.example>', ['a@b.example', 'c@d.example']],
    ['a@b.example, ', ['a@b.example']],
    ['"a b"@c.example', ['"a b"@c.example']],
    ['"a,b" <"c;d"@e.example>', ['"c;d"@e.example']],
    ['Team: a@b.example, c@d.example;', ['a@b.example', 'c@d.example']],
    ['a@[192.0.2.1]', ['a@[192.0.2.1]']],
  ])('D12: %s', (value, expected) => {
    expect(authorsOf([['From', value]])?.map(formatMailbox)).toEqual(expected);
  });

  test.each([
    '',
    ' ',
    'foo',
    'foo <>',
    '<>',
    'foo@',
    '@foo',
    'a b@c.example',
    'a@b.example c@d.example',
    'Other, A. <a@b.example>',
    '<a@b.example',
    'a@b.example>',
    '<a@b.example> trailing',
    '<<a@b.example>>',
    '<a@b.example><c@d.example>',
    '"unclosed <a@b.example>',
    '(unclosed a@b.example',
    'undisclosed:;',
    'Team: a@b.example',
    'a@b@c.example',
    '<@x.example:a@b.example>',
    'ü@b.example',
    'a@b.example, foo',
    'a@b.example\0',
    '__proto__',
  ])('D12: %j has no valid author', (value) => {
    expect(authorsOf([['From', value]])).toBeUndefined();
  });

  test('D12: none and two are no From header', () => {
    expect(authorsOf([])).toBeUndefined();
    expect(
      authorsOf([
        ['From ', 'a@b.example'],
        ['FROM', 'a@b.example'],
      ]),
    ).toBeUndefined();
    expect(
      authorsOf([
        ['Sender', 'x@y.example'],
        ['fRoM', 'a@b.example'],
      ]),
    ).toHaveLength(1);
  });

  test('D12: what is read is an address that stands in the text, whatever the text', () => {
    const piece = fc.constantFrom(
      '<',
      '>',
      '"',
      '(',
      ')',
      ',',
      ';',
      ':',
      '\\',
      ' ',
      '@',
      'a',
      'b@c.example',
      '\t',
      'é',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        const value = pieces.join('');
        for (const author of authorsOf([['From', value]]) ?? []) {
          expect(author.localPart).not.toBe('');
          expect(value.toLowerCase()).toContain(`@${author.domain}`);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('a long value is read once, not again and again', () => {
    for (const hostile of ['(', '"', '<', 'a,', '\\', '(('].map((part) => part.repeat(2_000_000))) {
      expect(authorsOf([['From', hostile]])).toBeUndefined();
    }
    expect(authorsOf([['From', `${'x'.repeat(10_000)} <a@b.example>`]])).toHaveLength(1);
    expect(authorsOf([['From', `${'x'.repeat(20_000)} <a@b.example>`]])).toBeUndefined();
    for (const hostile of ['(', '"', '<', 'a@b.example:'].map((part) => part.repeat(1_000))) {
      expect(authorsOf([['From', hostile]])).toBeUndefined();
    }
  });
});

describe('receivedBy', () => {
  test.each([
    ['from x.example ([192.0.2.1]) by MX.example.com. (Haraka/3) with ESMTPS id 1; date', 'mx.example.com'],
    ['by mx.example.com', 'mx.example.com'],
    ['from (by fake.example) x by real.example; date', 'real.example'],
    ['from x.example', undefined],
    ['by', undefined],
    ['(unclosed by mx.example.com', undefined],
  ])('G10: %s', (value, host) => {
    expect(receivedBy(value)).toBe(host);
  });
});
