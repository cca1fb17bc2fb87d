import { describe, expect, test } from 'vitest';
import { isInternal } from './internal.ts';
import { parsePath } from './mailbox.ts';

const account = { name: 'a@d.example', domain: 'D.example', kind: 'User', sendAs: [] } as const;
const sender = parsePath('a@d.example');
const from = [{ localPart: 'a', domain: 'd.example' }];
const other = { localPart: 'a', domain: 'other.example' };

describe('Internal', () => {
  test.each([
    ['an account writing from its address to its domain', { account, sender, from }, 'd.example', true],
    [
      'mail that a Route hands back',
      { account: { ...account, fromRoute: 'dlp' }, sender, from },
      'd.example',
      false,
    ],
    ['before the header is seen', { account, sender, from: 'unseen' as const }, 'd.example', true],
    ['the same without authentication', { sender, from }, 'd.example', false],
    [
      'an account of another domain',
      { account: { ...account, domain: 'other.example' }, sender, from },
      'd.example',
      false,
    ],
    ['a recipient of another domain', { account, sender, from }, 'other.example', false],
    ['a recipient of a subdomain', { account, sender, from }, 'sub.d.example', false],
    ['a null sender', { account, sender: parsePath(''), from }, 'd.example', false],
    ['another MAIL FROM', { account, sender: parsePath('a@other.example'), from }, 'd.example', false],
    ['another From', { account, sender, from: [other] }, 'd.example', false],
    ['a second, other From', { account, sender, from: [...from, other] }, 'd.example', false],
    ['an invalid From', { account, sender, from: undefined }, 'd.example', false],
  ])('I2, I3: %s', (_what, facts, recipientDomain, internal) => {
    expect(isInternal(facts, recipientDomain)).toBe(internal);
  });
});
