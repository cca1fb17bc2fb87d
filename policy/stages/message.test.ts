import { describe, expect, test } from 'vitest';
import { data, domainPolicy, gatewayPolicy, list, policyOf, rule } from '../fixture.ts';
import { judgeData } from '../judge.ts';
import type { AuthenticatedAccount, DataFacts, Verdict } from '../types.ts';

const account: AuthenticatedAccount = {
  name: 'user@example.com',
  domain: 'example.com',
  kind: 'User',
  sendAs: [],
};
const policy = await policyOf(
  [
    domainPolicy('example.com', {
      access: { allow: ['good'], block: [] },
      inboundRouting: [
        rule({ match: 'Internal', route: 'inside' }),
        rule({ match: 'External', target: 'Unknown', route: 'former' }),
      ],
    }),
    domainPolicy('small.example', { maxMessageBytes: 100 }),
  ],
  [list('good', ['203.0.113.0/24'])],
);

describe('at end of DATA', () => {
  test.each(['bareCr', 'bareLf', 'nul'] as const)('G20: %s is refused with 550 5.6.0', (smuggling) => {
    expect(answerTo({ smuggling })).toBe('550 5.6.0');
  });

  test('G12: one octet over the limit of the recipient domain is 552 5.3.4', () => {
    expect(answerTo({ size: 10_000 })).toBe('250');
    expect(answerTo({ size: 10_001 })).toBe('552 5.3.4');
    const facts = { account, size: 101, headers: from('user@example.com'), envelopeFrom: 'user@example.com' };
    expect(answerTo({ ...facts, recipients: ['user@example.com', 'user@small.example'] })).toBe('552 5.3.4');
    expect(answerTo({ ...facts, size: 10_001, recipients: ['x@elsewhere.example'] })).toBe('552 5.3.4');
  });

  test.each([
    [[['From', '']]],
    [[['From', 'foo']]],
    [[['Subject', 'no From']]],
    [
      [
        ['From', 'a@x.example'],
        ['from', 'b@x.example'],
      ],
    ],
    [[['__proto__', 'a@x.example']]],
  ] as [DataFacts['headers']][])('D12: the header %j is refused with 550 5.7.1', (headers) => {
    expect(answerTo({ headers })).toBe('550 5.7.1');
  });

  test.each([
    [5, 'mx.example.com', '250'],
    [6, 'mx.example.com', '554 5.4.6'],
    [6, 'MX.Example.com.', '554 5.4.6'],
    [50, 'mx.elsewhere.example', '250'],
  ])('G10: %i Received lines by %s are answered %s', (count, host, answer) => {
    const line = [
      'Received',
      `from a (b [192.0.2.9]) by ${host} (Postern) with ESMTP id 1; Mon, 1 Jan 2026`,
    ] as const;
    const trap = [
      'Received',
      'from by.example (by mx.example.com) by other.example with "by mx.example.com"',
    ] as const;
    const headers = [...Array.from({ length: count }, () => line), trap, ...from('a@sender.example')];
    expect(answerTo({ headers })).toBe(answer);
  });

  test('the verdict has the legs of each recipient', () => {
    const recipients = ['user@example.com', 'nobody@example.com', 'info@example.com'];
    expect(judgeData(policy, data({ recipients }))).toMatchObject({
      recipients: [
        { recipient: 'user@example.com', legs: [{ hop: { kind: 'Maildir' } }] },
        { recipient: 'nobody@example.com', legs: [{ hop: { route: 'former' } }] },
        { recipient: 'info@example.com', legs: [{ hop: { kind: 'Maildir' } }] },
      ],
      legs: [{}, {}, {}],
    });
  });

  test('I2: a From header of another domain makes a message External', () => {
    const mine = { account: { ...account, sendAs: ['me@small.example'] }, envelopeFrom: 'user@example.com' };
    const routes = (headers: DataFacts['headers']) => {
      const verdict = judgeData(policy, data({ ...mine, headers }));
      return verdict.verdict === 'accept' ? verdict.legs.map(({ hop }) => hop) : verdict;
    };
    expect(routes(from('user@example.com'))).toEqual([{ kind: 'Route', route: 'inside' }]);
    expect(routes(from('me@small.example'))).toEqual([{ kind: 'Maildir' }]);
    expect(routes(from('user@example.com, me@small.example'))).toEqual([{ kind: 'Maildir' }]);
  });

  test('G7: a recipient whose domain left the policy since RCPT is deferred', () => {
    expect(answerTo({ recipients: ['user@example.com', 'user@gone.example'] })).toBe('451 4.3.5');
  });

  test('A6: the verdict says that the peer is allowed', () => {
    expect(judgeData(policy, data({ peer: '203.0.113.9' }))).toMatchObject({
      allowed: true,
      because: { name: 'good' },
    });
    expect(judgeData(policy, data())).toMatchObject({ allowed: false });
    expect(
      judgeData(policy, data({ peer: '203.0.113.9', account, headers: from('user@example.com') })),
    ).toMatchObject({
      allowed: false,
    });
  });
});

test('A12: an allow entry over the gateway does not allow the message', async () => {
  const over = { access: { allow: ['front'], block: [] }, gateway: gatewayPolicy() };
  const behind = await policyOf([domainPolicy('example.com', over)], [list('front', ['198.51.100.0/24'])]);
  expect(judgeData(behind, data({ peer: '198.51.100.1' }))).toMatchObject({
    verdict: 'accept',
    allowed: false,
  });
});

function answerTo(facts: Partial<DataFacts>): string {
  const verdict: Verdict = judgeData(policy, data(facts));
  if (verdict.verdict === 'need') return 'need';
  return verdict.verdict === 'accept' ? '250' : `${verdict.reply.code} ${verdict.reply.enhanced}`;
}

function from(value: string): DataFacts['headers'] {
  return [['From', value]];
}
