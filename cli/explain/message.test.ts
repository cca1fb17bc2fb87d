import { describe, expect, it } from 'vitest';
import { readMessage } from './message.ts';

describe('readMessage', () => {
  it('unfolds header lines, keeps their order and their doubles, and counts octets as they go on the wire', () => {
    const message = readMessage(
      Buffer.from('From: a@b.example\nSubject: one\n two\nFrom: c@d.example\n\nFrom: body\n'),
    );
    expect(message.headers).toEqual([
      ['From', 'a@b.example'],
      ['Subject', 'one two'],
      ['From', 'c@d.example'],
    ]);
    expect(message.size).toBe(
      'From: a@b.example\nSubject: one\n two\nFrom: c@d.example\n\nFrom: body\n'.length + 6,
    );
    expect(message.smuggling).toBe('none');
  });

  it.each([
    ['a\r\nb\nc\r\n', 'bareLf'],
    ['a\rb\r\n', 'bareCr'],
    ['a\0b\n', 'nul'],
    ['a\r\n\r\nb\r\n', 'none'],
    ['a\n\nb\n', 'none'],
  ] as const)('G20: %j has %s', (text, smuggling) => {
    expect(readMessage(Buffer.from(text)).smuggling).toBe(smuggling);
  });
});
