import { expect, test } from 'vitest';
import { isForeign } from './foreign.ts';

const own = { authservId: 'mx.example.com', junkHeaders: ['X-Junk'] };

test.each([
  ['X-Spam-Flag', 'YES', true],
  ['x-spam-score', '0', true],
  ['X-Postern-Mark', 'x', true],
  ['x-junk', 'no', true],
  ['X-Spammer', 'x', false],
  ['Received', 'by mx.example.com', false],
  ['Authentication-Results', 'mx.example.com; spf=pass', true],
  ['authentication-results', ' MX.Example.COM 1; spf=pass', true],
  ['Authentication-Results', '(a comment) "mx.example.com"; spf=pass', true],
  ['Authentication-Results', '"mx.\\example.com"; spf=pass', true],
  ['Authentication-Results', '(no end mx.example.com; spf=pass', true],
  ['Authentication-Results', 'mx.example.com.evil.example; spf=pass', false],
  ['Authentication-Results', 'other.example; spf=pass', false],
  ['ARC-Authentication-Results', 'i=1; mx.example.com; spf=pass', false],
])('D15, G18, S4: %s: %s is taken away: %s', (name, value, foreign) => {
  expect(isForeign(name, value, own)).toBe(foreign);
});
