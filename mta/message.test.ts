import { expect, test } from 'vitest';
import { isFinalDot, Message, toMailboxForm } from './message.ts';

function received(text: string, maxBytes = 1_000_000): Message {
  const message = new Message(maxBytes);
  for (const line of text.match(/[^\n]*\n/g) ?? []) if (!message.add(Buffer.from(line, 'latin1'))) break;
  message.scanForNul();
  return message;
}

test.each([
  ['plain\r\n', 'none'],
  ['\r\n', 'none'],
  ['\n', 'bareLf'],
  ['a\n', 'bareLf'],
  ['a\r\nb\n', 'bareLf'],
  ['a\rb\r\n', 'bareCr'],
  ['\r\r\n', 'bareCr'],
  ['a\0b\r\n', 'nul'],
  ['\0\r\n', 'nul'],
])('G20: the scan finds in %j: %s', (text, found) => {
  expect(received(text).smuggling).toBe(found);
});

test('the wire form is the bytes as they came, and the size does not count dot-stuffing', () => {
  const text = 'A: b\r\n\r\n..dot\r\n\xff\r\n';
  const message = received(text);
  expect(message.toWire(() => false).toString('latin1')).toBe(text);
  expect(message.size).toBe(text.length - 1);
});

test('fields that are left out take all their lines with them, and what comes later is there', () => {
  const message = received('A: b\r\nX: y\r\n z\r\nC: d\r\n\r\nX: body\r\n');
  const wire = () => message.toWire((name) => name === 'X').toString();
  expect(wire()).toBe('A: b\r\nC: d\r\n\r\nX: body\r\n');
  message.add(Buffer.from('late\r\n'));
  expect(wire()).toBe('A: b\r\nC: d\r\n\r\nX: body\r\nlate\r\n');
});

test('headers end at the empty line and are unfolded', () => {
  const message = received('A: b\r\n c\r\nB:\r\n\r\nC: d\r\n');
  expect(message.headers()).toEqual([
    ['A', 'b c'],
    ['B', ''],
  ]);
});

test('a message over the limit is counted on but not kept', () => {
  const message = received('x\r\n'.repeat(100), 30);
  expect(message).toMatchObject({ tooLarge: true, size: 300, lines: [] });
});

test('a header that nobody can want to read is recognised', () => {
  expect(received(`A: ${'x'.repeat(2_000_000)}\r\n\r\n`, 10_000_000).headerTooLarge).toBe(true);
  expect(received(`A: b\r\n\r\n${'x'.repeat(2_000_000)}\r\n`, 10_000_000).headerTooLarge).toBe(false);
});

test('a mailbox holds LF line ends and no stuffed dots', () => {
  expect(toMailboxForm(Buffer.from('a\r\n..b\r\n..\r\n\r\nc..\r\n')).toString()).toBe('a\n.b\n.\n\nc..\n');
  expect(toMailboxForm(Buffer.from('')).toString()).toBe('');
});

test('only a dot alone on its line ends a message', () => {
  expect(['.\r\n', '..\r\n', '.\n', ' .\r\n'].map((line) => isFinalDot(Buffer.from(line)))).toEqual([
    true,
    false,
    false,
    false,
  ]);
});
