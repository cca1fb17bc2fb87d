import { describe, expect, test } from 'vitest';
import type { DkimSigner } from '../bundle/domain-policy.ts';
import { domainPolicy, policyOf } from './fixture.ts';
import { signingOf } from './signer.ts';
import type { AuthenticatedAccount } from './types.ts';

function key(domain: string, selector: string, over: Partial<DkimSigner> = {}): DkimSigner {
  return {
    source: { kind: 'DkimKey', name: selector, generation: 1 },
    domain,
    selector,
    algorithm: 'RSA',
    publicKeySHA256: '0'.repeat(64),
    fallback: false,
    ...over,
  };
}

const platform = domainPolicy('platform.example', {
  ownership: 'Platform',
  dkim: [key('platform.example', 'p1', { fallback: true })],
});
const policy = await policyOf([
  domainPolicy('a.example', {
    dkim: [key('a.example', 'ed', { algorithm: 'Ed25519' }), key('a.example', 'rsa')],
  }),
  domainPolicy('b.example', { dkim: [key('b.example', 'b1')] }),
  domainPolicy('keyless.example'),
  platform,
]);

function account(domain: string, over: Partial<AuthenticatedAccount> = {}): AuthenticatedAccount {
  return { name: `user@${domain}`, domain, kind: 'User', sendAs: [], ...over };
}

function selectors(sender: AuthenticatedAccount | undefined, ...from: string[]): string[] {
  const headers = from.map((value) => ['From', value] as const);
  return signingOf(policy, sender, headers).signers.map(({ domain, selector }) => `${selector}.${domain}`);
}

describe('what is signed', () => {
  test('K15: all keys of the domain sign', () => {
    expect(selectors(account('a.example'), 'User <USER@A.example>')).toEqual([
      'ed.a.example',
      'rsa.a.example',
    ]);
  });

  test('K17: a domain without a key is signed with the fallback key, one with a key never', () => {
    expect(selectors(account('keyless.example'), 'user@keyless.example')).toEqual(['p1.platform.example']);
    expect(selectors(account('b.example'), 'user@b.example')).toEqual(['b1.b.example']);
  });

  test('K1: without a fallback key mail of such a domain is not signed', async () => {
    const without = await policyOf([domainPolicy('keyless.example')]);
    expect(signingOf(without, account('keyless.example'), [['From', 'user@keyless.example']])).toEqual({
      signers: [],
      detail: 'not signed: keyless.example has no key that signs, and the MTA no fallback key',
    });
  });
});

describe('K12: what is not signed', () => {
  test.each<[string, AuthenticatedAccount | undefined, string[]]>([
    ['mail that nobody has authenticated', undefined, ['user@a.example']],
    ['the From of another domain of the MTA', account('b.example'), ['user@a.example']],
    [
      'the same, even if the account may send as it',
      account('b.example', { sendAs: ['*@a.example'] }),
      ['user@a.example'],
    ],
    ['the From of a subdomain', account('a.example'), ['user@sub.a.example']],
    ['two From headers', account('a.example'), ['user@a.example', 'user@a.example']],
    ['a From with a second, foreign address', account('a.example'), ['user@a.example, boss@b.example']],
    ['no From header', account('a.example'), []],
    ['a From that is no address', account('a.example'), ['user at a.example']],
    ['an account of a domain that has left the policy', account('gone.example'), ['user@gone.example']],
  ])('%s', (_what, sender, from) => {
    expect(selectors(sender, ...from)).toEqual([]);
  });
});
