import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalDomain, formatMailbox, parseDomain, parseMailbox, parsePath } from './mailbox.ts';

describe('parseMailbox', () => {
  test.each([
    ['User@Example.COM.', 'User', 'example.com'],
    ['"user"@example.com', 'user', 'example.com'],
    ['"a@b.example"@c.example', 'a@b.example', 'c.example'],
    ['"a\\"b\\\\c"@d.example', 'a"b\\c', 'd.example'],
    ['a@[192.0.2.1]', 'a', '[192.0.2.1]'],
    ['a@[IPv6:2001:DB8::1]', 'a', '[ipv6:2001:db8::1]'],
    ["!#$%&'*+-/=?^_`{|}~@b.example", "!#$%&'*+-/=?^_`{|}~", 'b.example'],
    ['a@_dmarc.b-c.example', 'a', '_dmarc.b-c.example'],
  ])('G13: %s', (text, localPart, domain) => {
    expect(parseMailbox(text)).toEqual({ localPart, domain });
  });

  test('what is written is read back as the same mailbox', () => {
    const localPart = fc.string({
      unit: fc.integer({ min: 32, max: 126 }).map((c) => String.fromCharCode(c)),
      minLength: 1,
    });
    fc.assert(
      fc.property(localPart, (local) => {
        const mailbox = { localPart: local, domain: 'b.example' };
        expect(parseMailbox(formatMailbox(mailbox))).toEqual(mailbox);
      }),
    );
  });

  test('G13: what is read has one @ that divides it, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom('a', 'b', '@', '"', '\\', '.', ' ', '[', ']', ':', '<'),
          maxLength: 12,
        }),
        (text) => {
          const mailbox = parseMailbox(text);
          if (mailbox !== undefined) expect(parseMailbox(formatMailbox(mailbox))).toEqual(mailbox);
          if (mailbox !== undefined && !text.startsWith('"')) expect(text.split('@')).toHaveLength(2);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('parsePath', () => {
  test.each([
    ['', { kind: 'null' }],
    ['PostMaster', { kind: 'mailbox', mailbox: { localPart: 'PostMaster', domain: '' } }],
    ['a\0b@c.example', { kind: 'invalid', why: 'control' }],
    ['a@b.example\r', { kind: 'invalid', why: 'control' }],
    ['a\x85@b.example', { kind: 'invalid', why: 'control' }],
    ['ü@b.example', { kind: 'invalid', why: 'nonAscii' }],
    ['@a:b@c.example', { kind: 'invalid', why: 'sourceRoute' }],
    ['a', { kind: 'invalid', why: 'syntax' }],
    ['<a@b.example>', { kind: 'invalid', why: 'syntax' }],
  ])('G13: %j', (text, path) => {
    expect(parsePath(text)).toEqual(path);
  });
});

test.each([
  ['Example.COM', 'example.com'],
  ['example.com.', 'example.com'],
  ['example.com..', undefined],
  ['.', undefined],
  ['', undefined],
  ['a..b', undefined],
  ['-a.example', undefined],
  ['a-.example', undefined],
  ['bücher.example', undefined],
  ['\u212a.example', undefined],
  [`${'a'.repeat(63)}.example`, `${'a'.repeat(63)}.example`],
  [`${'a'.repeat(64)}.example`, undefined],
  ['a.'.repeat(127), 'a.'.repeat(127).slice(0, -1)],
  ['a.'.repeat(128), undefined],
  ['[a b]', undefined],
])('G13: the domain %j is %j', (text, domain) => {
  expect(parseDomain(text)).toBe(domain);
});

test('one trailing dot does not count, two do', () => {
  expect(canonicalDomain('A.b.')).toBe('a.b');
  expect(canonicalDomain('a.b..')).toBe('a.b.');
});
