import { expect, test } from 'vitest';
import { readEnvelopeCommand } from './envelope-command.ts';

test.each([
  ['FROM:<a@b.example>', 'a@b.example', []],
  ['from: <a@b.example>  SIZE=10   BODY=8BITMIME ', 'a@b.example', ['SIZE=10', 'BODY=8BITMIME']],
  ['FROM:<>', '', []],
  ['FROM:a@b.example SIZE=10', 'a@b.example', ['SIZE=10']],
  ['FROM:<"a> b"@c.example> SIZE=1', '"a> b"@c.example', ['SIZE=1']],
  ['FROM:<"a\\"> b"@c.example>', '"a\\"> b"@c.example', []],
  ['FROM:< a@b.example >', ' a@b.example ', []],
  // No path in brackets: what is there is taken as a whole, so that the policy refuses it.
  ['FROM:<a@b.example', 'a@b.example', []],
  ['FROM:<a@b.example>x', 'a@b.example>x', []],
  ['FROM:<a@b.example>x>', 'a@b.example>x', []],
  ['FROM:<"a@b.example> SIZE=1', '"a@b.example> SIZE=1', []],
  ['FROM:<a@b.example>\r', 'a@b.example>\r', []],
])('B7: %j has the path %j', (argument, path, params) => {
  expect(readEnvelopeCommand('mail', argument)).toEqual({ path, params });
});

test.each(['', 'FROM:', 'FROM: ', 'TO:<a@b.example>', '<a@b.example>', 'FROM'])(
  '%j is no argument of MAIL',
  (argument) => {
    expect(readEnvelopeCommand('mail', argument)).toBeUndefined();
  },
);
