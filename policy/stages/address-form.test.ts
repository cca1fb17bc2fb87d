import { describe, expect, test } from 'vitest';
import { domainPolicy, policyOf, rcpt } from '../fixture.ts';
import { judgeMail, judgeRcpt } from '../judge.ts';
import type { AuthenticatedAccount } from '../types.ts';

const account: AuthenticatedAccount = {
  name: 'user@example.com',
  domain: 'example.com',
  kind: 'User',
  sendAs: [],
};
const policy = await policyOf([domainPolicy('example.com'), domainPolicy('xn--bcher-kva.example')]);

describe('RCPT TO', () => {
  test.each([
    ['user%elsewhere.example@example.com', '553 5.1.3'],
    ['elsewhere.example!user@example.com', '553 5.1.3'],
    ['"user@elsewhere.example"@example.com', '553 5.1.3'],
    ['"user%elsewhere.example"@example.com', '553 5.1.3'],
    ['"user\\@elsewhere.example"@example.com', '553 5.1.3'],
    ['@example.com:user@elsewhere.example', '550 5.7.1'],
    ['@elsewhere.example:user@example.com', '550 5.7.1'],
    ['@a,@b:user@example.com', '550 5.7.1'],
    ['user@elsewhere.example@example.com', '553 5.1.3'],
    ['', '553 5.1.3'],
    ['user', '553 5.1.3'],
    ['@example.com', '550 5.7.1'],
    ['user@', '553 5.1.3'],
    ['.user@example.com', '553 5.1.3'],
    ['us..er@example.com', '553 5.1.3'],
    ['us er@example.com', '553 5.1.3'],
    ['user@exa mple.com', '553 5.1.3'],
    ['user@-example.com', '553 5.1.3'],
    ['user@example..com', '553 5.1.3'],
    ['user@example.com\0', '553 5.1.3'],
    ['user\r\nDATA@example.com', '553 5.1.3'],
    ['"us\ter"@example.com', '553 5.1.3'],
    ['üser@example.com', '553 5.6.7'],
    ['"ü"@example.com', '553 5.6.7'],
    ['user@bücher.example', '553 5.6.7'],
    [`${'a'.repeat(1_000_000)}@example.com`, '553 5.1.3'],
    [`user@${'a.'.repeat(500_000)}com`, '553 5.1.3'],
    ['__proto__@__proto__', '550 5.7.1'],
    ['user@constructor', '550 5.7.1'],
    ['user@[192.0.2.1]', '550 5.7.1'],
    ['user@[IPv6:2001:db8::1]', '550 5.7.1'],
    ['user@elsewhere.example', '550 5.7.1'],
    ['user@sub.example.com', '550 5.7.1'],
    ['user@example.com.', '250'],
    ['user@EXAMPLE.com', '250'],
    ['"user"@example.com', '250'],
    [`user+${'x'.repeat(100)}@example.com`, '250'],
    ['user@XN--BCHER-KVA.example', '250'],
  ])('G13, G11: %j is answered %s', (recipient, answer) => {
    const verdict = judgeRcpt(policy, rcpt({ recipient }));
    expect(verdict.verdict === 'reject' ? code(verdict.reply) : '250').toBe(answer);
  });

  test.each([
    'user%x@example.com',
    '@example.com:x@elsewhere.example',
    'user@[127.0.0.1]',
    'x!y@elsewhere.example',
  ])('G13: an account may not use %s either', (recipient) => {
    expect(judgeRcpt(policy, rcpt({ recipient, account })).verdict).toBe('reject');
  });

  test('P10: an account may send to anybody; the leg goes to the MX on behalf of its domain', () => {
    expect(judgeRcpt(policy, rcpt({ recipient: 'Friend@Elsewhere.example', account }))).toMatchObject({
      verdict: 'accept',
      legs: [
        {
          domain: 'example.com',
          recipient: 'Friend@elsewhere.example',
          hop: { kind: 'Mx' },
          purpose: 'Outbound',
          onFailure: 'Dsn',
        },
      ],
    });
    expect(judgeRcpt(policy, rcpt({ account })).verdict).toBe('accept');
  });
});

describe('MAIL FROM', () => {
  test.each([
    ['', '250'],
    ['author@sender.example', '250'],
    ['bounce+user=example.com%x@list.example', '250'],
    ['"odd sender"@sender.example', '250'],
    ['postmaster', '250'],
    ['ü@sender.example', '553 5.6.7'],
    ['author@sender.example\0', '553 5.1.7'],
    ['author', '553 5.1.7'],
    ['@a:b@c.example', '553 5.1.7'],
    ['a@b@c.example', '553 5.1.7'],
  ])('G11: %j is answered %s', (envelopeFrom, answer) => {
    const verdict = judgeMail(policy, rcpt({ envelopeFrom }));
    expect(verdict.verdict === 'reject' ? code(verdict.reply) : '250').toBe(answer);
  });
});

function code({ code: three, enhanced }: { code: number; enhanced: string }): string {
  return `${three} ${enhanced}`;
}
