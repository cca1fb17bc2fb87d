import { describe, expect, test } from 'vitest';
import { data, domainPolicy, policyOf, rcpt, tlsPeers } from '../fixture.ts';
import { judgeData, judgeMail } from '../judge.ts';
import type { AuthenticatedAccount } from '../types.ts';

const user: AuthenticatedAccount = {
  name: 'user@example.com',
  domain: 'example.com',
  kind: 'User',
  sendAs: ['Team@example.com'],
};
const relay: AuthenticatedAccount = {
  name: 'printer@example.com',
  domain: 'Example.com',
  kind: 'Relay',
  sendAs: ['*@example.com'],
};
const policy = await policyOf([
  domainPolicy('example.com', { tls: tlsPeers('example.com') }),
  domainPolicy('off.example', { submission: { enabled: false, accounts: true, recipientsPerHour: 1 } }),
]);

describe('MAIL FROM of an account', () => {
  test.each([
    [user, 'user@example.com', '250'],
    [user, 'USER@Example.com', '250'],
    [user, 'team@example.com', '250'],
    [user, '', '250'],
    [user, 'boss@example.com', '553 5.7.1'],
    [user, 'user+tag@example.com', '553 5.7.1'],
    [user, 'user@example.com.evil.example', '553 5.7.1'],
    [relay, 'whoever@example.com', '250'],
    [relay, 'whoever@sub.example.com', '553 5.7.1'],
    [relay, 'whoever@elsewhere.example', '553 5.7.1'],
    [{ ...user, sendAs: ['*@__proto__'] }, 'x@toString', '553 5.7.1'],
  ])('P5, P6: %o as %j is answered %s', (account, envelopeFrom, answer) => {
    const verdict = judgeMail(policy, rcpt({ account, envelopeFrom }));
    const got = verdict.verdict === 'reject' ? `${verdict.reply.code} ${verdict.reply.enhanced}` : '250';
    expect(got).toBe(answer);
  });

  test.each(['off.example', 'gone.example'])('P1: with submission of %s off nothing is sent', (domain) => {
    const account = { ...user, domain };
    expect(judgeMail(policy, rcpt({ account, envelopeFrom: 'user@example.com' }))).toMatchObject({
      reply: { code: 535, enhanced: '5.7.8' },
    });
  });

  test('P5: without an account nobody asks who owns the sender', () => {
    expect(judgeMail(policy, rcpt({ envelopeFrom: 'user@example.com' })).verdict).toBe('accept');
  });
});

describe('From header of an account', () => {
  test.each([
    ['user@example.com', '250'],
    ['Team <TEAM@example.com>', '250'],
    ['user@example.com, team@example.com', '250'],
    ['boss@example.com', '550 5.7.1'],
    ['user@example.com, boss@example.com', '550 5.7.1'],
    ['"user@example.com" <boss@example.com>', '550 5.7.1'],
  ])('P5: %s is answered %s', (from, answer) => {
    for (const envelopeFrom of ['user@example.com', '']) {
      const verdict = judgeData(policy, data({ account: user, envelopeFrom, headers: [['From', from]] }));
      const got = verdict.verdict === 'reject' ? `${verdict.reply.code} ${verdict.reply.enhanced}` : '250';
      expect(got).toBe(answer);
    }
  });

  test('P10: inbound TLS is not asked of an account', () => {
    const facts = data({
      account: user,
      envelopeFrom: 'user@example.com',
      headers: [['From', 'user@example.com']],
    });
    expect(judgeData(policy, facts).verdict).toBe('accept');
  });

  test('G7: if the domain of a recipient is gone by then, mail from outside is deferred', async () => {
    const left = await policyOf([domainPolicy('example.com')]);
    const facts = data({
      envelopeFrom: 'author@sender.example',
      recipients: ['x@elsewhere.example'],
      headers: [['From', 'author@sender.example']],
    });
    expect(judgeData(left, facts)).toMatchObject({
      verdict: 'defer',
      reply: { code: 451, enhanced: '4.3.5' },
    });
  });
});
