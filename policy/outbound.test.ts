import { describe, expect, test } from 'vitest';
import type { DomainPolicy } from '../bundle/domain-policy.ts';
import { data, domainPolicy, policyOf, rcpt, rule } from './fixture.ts';
import { judgeData, judgeRcpt } from './judge.ts';
import { tlsDemandOf } from './outbound-tls.ts';
import type { Policy } from './policy.ts';
import type { AuthenticatedAccount, DataFacts } from './types.ts';

const account: AuthenticatedAccount = {
  name: 'user@a.example',
  domain: 'a.example',
  kind: 'User',
  sendAs: [],
};
const handedBack = { ...account, kind: 'Relay', sendAs: ['*@a.example'], fromRoute: 'dlp' } as const;

interface Case {
  readonly a?: Partial<DomainPolicy>;
  readonly b?: Partial<DomainPolicy>;
  readonly facts?: Partial<DataFacts>;
}

/** The legs of a message of user@a.example as `recipient via hop purpose`. */
async function legs(to: readonly string[], { a, b, facts }: Case = {}): Promise<string[]> {
  const policy = await policyOf([domainPolicy('a.example', a), domainPolicy('b.example', b)]);
  const from = [['From', 'user@a.example']] as const;
  const verdict = judgeData(
    policy,
    data({ account, envelopeFrom: 'user@a.example', recipients: to, headers: from, ...facts }),
  );
  if (verdict.verdict !== 'accept') throw new Error(`not accepted: ${JSON.stringify(verdict)}`);
  return verdict.legs.map(
    ({ recipient, hop, purpose }) => `${recipient} ${hop.kind === 'Route' ? hop.route : hop.kind} ${purpose}`,
  );
}

const external = (over: Partial<DomainPolicy['outboundRouting'][number]>) => ({
  outboundRouting: [{ match: 'External' as const, ...over }],
});

describe('outbound routing', () => {
  test('mail for others goes to their MX', async () => {
    expect(await legs(['x@elsewhere.example'])).toEqual(['x@elsewhere.example Mx Outbound']);
  });

  test('O1, O4: External replaces the next hop of matching recipients only', async () => {
    const to = ['user@a.example', 'x@elsewhere.example'];
    expect(await legs(to, { a: external({ changeRoute: 'dlp' }) })).toEqual([
      'user@a.example Maildir Mailbox',
      'x@elsewhere.example dlp Outbound',
    ]);
  });

  test('O4: Internal takes only mail within the domain', async () => {
    const a = { outboundRouting: [{ match: 'Internal' as const, changeRoute: 'dlp' }] };
    expect(await legs(['info@a.example', 'info@b.example', 'x@elsewhere.example'], { a })).toEqual([
      'info@a.example dlp Outbound',
      'info@b.example Maildir Mailbox',
      'x@elsewhere.example Mx Outbound',
    ]);
    const stranger = { facts: { headers: [['From', 'other@elsewhere.example']] as const } };
    await expect(legs(['info@a.example'], { a, ...stranger })).rejects.toThrow('5.7.1');
  });

  test('O2: every matching recipient names the same copy, to the sender', async () => {
    const copy = 'user@a.example former Copy';
    const got = await legs(['x@elsewhere.example', 'y@elsewhere.example'], {
      a: external({ sendCopyTo: 'former' }),
    });
    expect(got).toEqual(['x@elsewhere.example Mx Outbound', copy, 'y@elsewhere.example Mx Outbound', copy]);
  });

  test('O2: a message with a null sender has no copy', async () => {
    const facts = { envelopeFrom: '' };
    expect(await legs(['x@elsewhere.example'], { a: external({ sendCopyTo: 'former' }), facts })).toEqual([
      'x@elsewhere.example Mx Outbound',
    ]);
  });

  test('O6: both together make both legs', async () => {
    const a = external({ changeRoute: 'dlp', sendCopyTo: 'former' });
    expect(await legs(['x@elsewhere.example'], { a })).toEqual([
      'x@elsewhere.example dlp Outbound',
      'user@a.example former Copy',
    ]);
  });

  test('O8: hosted a to hosted b is External for a, and then External for b', async () => {
    const a = external({ sendCopyTo: 'former' });
    const b = {
      inboundRouting: [
        rule({ match: 'External', route: 'archive' }),
        rule({ match: 'Internal', route: 'never' }),
      ],
    };
    expect(await legs(['info@b.example'], { a, b })).toEqual([
      'info@b.example archive Routed',
      'user@a.example former Copy',
    ]);
  });

  test('O8: a changed route comes before the rules of the recipient domain, and its Route is not asked', async () => {
    const a = external({ changeRoute: 'dlp' });
    const b = { inboundRouting: [rule({ match: 'External', route: 'archive', verifyRecipient: 'Probe' })] };
    expect(await legs(['info@b.example'], { a, b })).toEqual(['info@b.example dlp Outbound']);
  });

  test('O3: what a Route hands back is neither sent there nor copied again', async () => {
    const a = external({ changeRoute: 'dlp', sendCopyTo: 'former' });
    expect(
      await legs(['x@elsewhere.example', 'info@a.example'], { a, facts: { account: handedBack } }),
    ).toEqual(['x@elsewhere.example Mx Outbound', 'info@a.example Maildir Mailbox']);
  });

  test('I9: an unknown recipient is refused although a changed route would take it', async () => {
    const policy = await policyOf([
      domainPolicy('a.example', { outboundRouting: [{ match: 'Internal', changeRoute: 'dlp' }] }),
    ]);
    const facts = rcpt({ account, envelopeFrom: 'user@a.example', recipient: 'nobody@a.example' });
    expect(judgeRcpt(policy, facts)).toMatchObject({ reply: { code: 550, enhanced: '5.1.1' } });
  });

  test('O1: nobody but an account is routed outbound', async () => {
    const policy = await policyOf([domainPolicy('a.example', external({ changeRoute: 'dlp' }))]);
    const facts = rcpt({ envelopeFrom: 'user@a.example', recipient: 'info@a.example' });
    expect(judgeRcpt(policy, facts)).toMatchObject({ legs: [{ purpose: 'Mailbox' }] });
  });
});

test('P7: an account at its limit is refused for now, by the field that says so', async () => {
  const submission = { enabled: true, accounts: true, recipientsPerHour: 3 };
  const policy = await policyOf([domainPolicy('a.example', { submission })]);
  const facts = rcpt({ account, envelopeFrom: 'user@a.example', recipient: 'x@elsewhere.example' });
  expect(judgeRcpt(policy, { ...facts, accountRecipients: 2 }).verdict).toBe('accept');
  expect(judgeRcpt(policy, { ...facts, accountRecipients: 3 })).toMatchObject({
    verdict: 'defer',
    reply: { code: 450, enhanced: '4.7.1' },
    because: { kind: 'MailDomain', name: 'a-example', entry: 'spec.submission.limits.recipientsPerHour' },
  });
});

describe('T14: TLS that is asked for holds on every way of a mail', () => {
  const asks = (peer: string) => ({
    peer,
    requireTrustedCA: true,
    requireHostnameMatch: false,
    caBundles: ['System'],
    onFailure: 'Bounce' as const,
    giveUpAfterSeconds: 60,
    from: [],
  });
  const tls = { inbound: [], outbound: [asks('partner.example')] };

  /** What each leg asks of TLS: what becomes of it without. */
  async function demands(policy: Policy, facts: Partial<DataFacts>): Promise<string[]> {
    const verdict = judgeData(policy, data(facts));
    if (verdict.verdict !== 'accept') throw new Error(`not accepted: ${JSON.stringify(verdict)}`);
    return verdict.legs.map((leg) => `${leg.purpose} ${tlsDemandOf(policy, leg)?.onFailure ?? 'free'}`);
  }

  test('the one copy of a mail inherits it if any of the recipients has it', async () => {
    const policy = await policyOf([
      domainPolicy('a.example', { ...external({ sendCopyTo: 'former' }), tls }),
    ]);
    const sent = { account, envelopeFrom: 'user@a.example', headers: [['From', 'user@a.example']] as const };
    const to = (...recipients: string[]) => demands(policy, { ...sent, recipients });
    expect(await to('x@other.example')).toEqual(['Outbound free', 'Copy free']);
    expect(await to('x@partner.example', 'x@other.example')).toEqual([
      'Outbound Bounce',
      'Copy Bounce',
      'Outbound free',
      'Copy Bounce',
    ]);
  });

  test('mail to a domain that is hosted here too keeps what its author asks for', async () => {
    const inboundRouting = [rule({ match: 'External', route: 'out' })];
    const policy = await policyOf([
      domainPolicy('a.example', { tls: { inbound: [], outbound: [asks('b.example')] } }),
      domainPolicy('b.example', { inboundRouting }),
    ]);
    const sent = { account, envelopeFrom: 'user@a.example', headers: [['From', 'user@a.example']] as const };
    expect(await demands(policy, { ...sent, recipients: ['user@b.example'] })).toEqual(['Routed Bounce']);
  });

  test('what a partner had to send over TLS is routed on over TLS', async () => {
    const inboundRouting = [rule({ match: 'External', route: 'out', alsoDeliverLocally: true })];
    const from = [{ kind: 'TlsPolicy' as const, name: 'partners', generation: 1 }];
    const policy = await policyOf([
      domainPolicy('b.example', {
        inboundRouting,
        tls: { inbound: [{ peer: 'partner.example', from }], outbound: [] },
      }),
    ]);
    const mail = (sender: string) =>
      demands(policy, {
        tls: true,
        envelopeFrom: sender,
        headers: [['From', sender]],
        recipients: ['user@b.example'],
      });
    expect(await mail('x@partner.example')).toEqual(['Routed Defer', 'Mailbox free']);
    expect(await mail('x@other.example')).toEqual(['Routed free', 'Mailbox free']);
  });
});

describe('G9: who is told of a failure', () => {
  test('an account; nobody of mail from outside that nothing proves', async () => {
    const policy = await policyOf([domainPolicy('b.example')]);
    const end = async (facts: Partial<DataFacts>) => {
      const verdict = judgeData(policy, data({ recipients: ['user@b.example'], ...facts }));
      return verdict.verdict === 'accept'
        ? verdict.legs.map(({ onFailure, ledgerEntry }) => ledgerEntry ?? onFailure)
        : verdict;
    };
    const from = { envelopeFrom: 'user@b.example', headers: [['From', 'user@b.example']] as const };
    expect(
      await end({ ...from, account: { ...account, name: 'user@b.example', domain: 'b.example' } }),
    ).toEqual(['Dsn']);
    expect(await end(from)).toEqual(['backscatterAvoided']);
  });
});
