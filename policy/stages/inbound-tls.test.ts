import { describe, expect, test } from 'vitest';
import { data, domainPolicy, list, policyOf, rcpt, tlsPeers } from '../fixture.ts';
import { judgeData, judgeRcpt } from '../judge.ts';
import type { AuthenticatedAccount, DataFacts } from '../types.ts';

const account: AuthenticatedAccount = {
  name: 'user@example.com',
  domain: 'example.com',
  kind: 'User',
  sendAs: ['*@partner.example'],
};
const policy = await policyOf(
  [
    domainPolicy('example.com', {
      tls: tlsPeers('partner.example', '*.group.example'),
      access: { allow: ['good'], block: [] },
    }),
    domainPolicy('other.example'),
  ],
  [list('good', ['203.0.113.0/24'])],
);

describe('at RCPT', () => {
  test.each([
    ['a@partner.example', 530],
    ['a@PARTNER.example.', 530],
    ['a@sub.partner.example', 250],
    ['a@partner.example.org', 250],
    ['a@notpartner.example', 250],
    ['a@one.group.example', 530],
    ['a@two.one.group.example', 530],
    ['a@group.example', 250],
    ['a@agroup.example', 250],
    ['a@stranger.example', 250],
    ['', 250],
  ])('T11, T7: plain mail from %j is answered %i', (envelopeFrom, code) => {
    const verdict = judgeRcpt(policy, rcpt({ envelopeFrom }));
    expect(verdict.verdict === 'reject' ? verdict.reply.code : 250).toBe(code);
    if (code === 530) {
      expect(verdict).toMatchObject({
        reply: { enhanced: '5.7.0' },
        because: { kind: 'TlsPolicy', name: 'partners' },
      });
    }
  });

  test('T11: over TLS, to another domain, or from an account it is taken', () => {
    const envelopeFrom = 'a@partner.example';
    expect(judgeRcpt(policy, rcpt({ envelopeFrom, tls: true })).verdict).toBe('accept');
    expect(judgeRcpt(policy, rcpt({ envelopeFrom, recipient: 'user@other.example' })).verdict).toBe('accept');
    expect(judgeRcpt(policy, rcpt({ envelopeFrom, account })).verdict).toBe('accept');
  });

  test('A6: an allowed peer is not exempt', () => {
    expect(judgeRcpt(policy, rcpt({ envelopeFrom: 'a@partner.example', peer: '203.0.113.1' })).verdict).toBe(
      'reject',
    );
  });
});

describe('at end of DATA', () => {
  test.each([
    ['', 'bounces@partner.example', 530],
    ['', 'bounces@stranger.example', 250],
    ['a@stranger.example', 'Boss <boss@Partner.example>', 530],
    ['a@stranger.example', 'x@stranger.example, boss@one.group.example', 530],
    ['a@stranger.example', 'a@stranger.example', 250],
  ])('T11: plain mail from %j with From %s is answered %i', (envelopeFrom, from, code) => {
    const verdict = judgeData(policy, message(envelopeFrom, from));
    expect(verdict.verdict === 'reject' ? verdict.reply.code : 250).toBe(code);
  });

  test('T11: over TLS or to another domain it is taken', () => {
    const facts = message('', 'a@partner.example');
    expect(judgeData(policy, { ...facts, tls: true }).verdict).toBe('accept');
    expect(judgeData(policy, { ...facts, recipients: ['user@other.example'] }).verdict).toBe('accept');
  });
});

function message(envelopeFrom: string, from: string): DataFacts {
  return data({ envelopeFrom, headers: [['From', from]] });
}
