import { describe, expect, test } from 'vitest';
import type { DomainPolicy } from '../../bundle/domain-policy.ts';
import { domainPolicy, policyOf, rcpt, recipients, rule } from '../fixture.ts';
import { judgeRcpt } from '../judge.ts';
import { lookupKey } from '../lookup.ts';
import type { AuthenticatedAccount, LookupAnswer, RcptFacts, Verdict } from '../types.ts';

const account: AuthenticatedAccount = {
  name: 'user@example.com',
  domain: 'example.com',
  kind: 'User',
  sendAs: [],
};
const probe = recipients([], { mode: 'Probe', probeRoute: 'store' });

describe('List mode', () => {
  test.each([
    ['user', true],
    ['USER', true],
    ['"user"', true],
    ['user+tag', true],
    ['user+a+b', true],
    ['Sales+Tag', true],
    ['nobody', false],
    ['nobody+tag', false],
    ['+user', false],
    ['use', false],
    ['userx', false],
    ['__proto__', false],
    ['constructor', false],
  ])('I9, I12: %s is known: %s', async (local, known) => {
    const verdict = await judge({}, { recipient: `${local}@example.com` });
    expect(verdict.verdict).toBe(known ? 'accept' : 'reject');
    if (!known) {
      expect(verdict).toMatchObject({
        reply: { code: 550, enhanced: '5.1.1' },
        because: { kind: 'MailDomain', entry: 'spec.recipients' },
      });
    }
  });

  test('I9: __proto__ can be a recipient like any other', async () => {
    const over = { recipients: recipients(['__proto__']) };
    expect((await judge(over, { recipient: '__proto__@example.com' })).verdict).toBe('accept');
  });

  test('I9: a list in another order than promised still knows everybody', async () => {
    const over = { recipients: recipients(['user', 'b', 'sales', 'a']) };
    for (const local of ['user', 'b', 'sales', 'a']) {
      expect((await judge(over, { recipient: `${local}@example.com` })).verdict).toBe('accept');
    }
  });

  test('I12: an address with the delimiter in it can be a recipient of its own', async () => {
    const over = { recipients: recipients(['mary-ann'], { subaddressDelimiter: '-' }) };
    expect((await judge(over, { recipient: 'mary-ann@example.com' })).verdict).toBe('accept');
    expect((await judge(over, { recipient: 'mary@example.com' })).verdict).toBe('reject');
  });

  test('I12: without a delimiter there are no subaddresses', async () => {
    const over = { recipients: recipients(['user'], { subaddressDelimiter: '' }) };
    expect((await judge(over, { recipient: 'user+tag@example.com' })).verdict).toBe('reject');
  });

  test('I9: while the source cannot be read nobody is called unknown', async () => {
    const over = { recipients: recipients(['user'], { available: false }) };
    expect((await judge(over, {})).verdict).toBe('accept');
    expect(await judge(over, { recipient: 'other@example.com' })).toMatchObject({
      verdict: 'defer',
      reply: { code: 451, enhanced: '4.3.0' },
    });
  });

  test('the leg keeps the address as written and names the hop only', async () => {
    expect(await judge({}, { recipient: 'User+Tag@EXAMPLE.com.' })).toMatchObject({
      legs: [
        {
          domain: 'example.com',
          recipient: 'User+Tag@example.com',
          hop: { kind: 'Maildir' },
          purpose: 'Mailbox',
          onFailure: 'Dsn',
          because: { kind: 'MailDomain', name: 'example-com', generation: 3 },
        },
      ],
    });
    expect(await judge({ mailbox: { kind: 'Route', route: 'store' } }, {})).toMatchObject({
      legs: [{ hop: { kind: 'Route', route: 'store' }, purpose: 'Mailbox' }],
    });
  });
});

describe('Probe and Any mode', () => {
  test('I9: Probe asks the Route, and for the base only if the full address is unknown', async () => {
    const recipient = 'user+tag@example.com';
    expect(await judge({ recipients: probe }, { recipient })).toMatchObject({
      verdict: 'need',
      lookup: { kind: 'recipient', route: 'store', recipient },
    });
    const lookups = answers({ 'user+tag@example.com': 'unknown' });
    expect(await judge({ recipients: probe }, { recipient, lookups })).toMatchObject({
      verdict: 'need',
      lookup: { recipient: 'user@example.com' },
    });
    const both = answers({ 'user+tag@example.com': 'unknown', 'user@example.com': 'known' });
    expect((await judge({ recipients: probe }, { recipient, lookups: both })).verdict).toBe('accept');
  });

  test.each([
    ['known', 'accept', undefined],
    ['unknown', 'reject', '5.1.1'],
    ['unavailable', 'defer', '4.3.0'],
  ] as const)('I9: a probe that says %s means %s', async (answer, outcome, enhanced) => {
    const verdict = await judge({ recipients: probe }, { lookups: answers({ 'user@example.com': answer }) });
    expect(verdict.verdict).toBe(outcome);
    if (enhanced !== undefined) expect(verdict).toMatchObject({ reply: { enhanced } });
  });

  test('I12: a local part that begins with the delimiter has no base to ask for', async () => {
    const lookups = answers({ '+tag@example.com': 'unknown' });
    expect((await judge({ recipients: probe }, { recipient: '+tag@example.com', lookups })).verdict).toBe(
      'reject',
    );
  });

  test('I9: Probe without a Route to ask defers', async () => {
    expect(await judge({ recipients: recipients([], { mode: 'Probe' }) }, {})).toMatchObject({
      verdict: 'defer',
    });
  });

  test('I9: Any knows everybody', async () => {
    const over = { recipients: recipients([], { mode: 'Any' }) };
    expect((await judge(over, { recipient: 'whoever@example.com' })).verdict).toBe('accept');
  });
});

describe('harvesting', () => {
  test.each([
    [9, '550 5.1.1', false],
    [10, '421 4.7.0', true],
    [500, '421 4.7.0', true],
  ])('I15: after %i unknown recipients the next is answered %s', async (unknownSoFar, answer, disconnect) => {
    const verdict = await judge({}, { recipient: 'nobody@example.com', unknownSoFar });
    if (verdict.verdict !== 'reject' && verdict.verdict !== 'defer') throw new Error(verdict.verdict);
    expect(`${verdict.reply.code} ${verdict.reply.enhanced}`).toBe(answer);
    expect(verdict.disconnect).toBe(disconnect);
    expect((await judge({}, { unknownSoFar })).verdict).toBe('accept');
  });
});

describe('postmaster', () => {
  test('I11: postmaster@ and abuse@ go to the postmaster only when they are no recipients', async () => {
    const postmaster = 'admin@two.example';
    const mine = { postmaster, recipients: recipients(['postmaster', 'user']) };
    expect(legsOf(await judge({ postmaster }, { recipient: 'postmaster@example.com' }))).toEqual([
      'admin@two.example MX',
    ]);
    expect(legsOf(await judge(mine, { recipient: 'Postmaster@example.com' }))).toEqual([
      'Postmaster@example.com Maildir',
    ]);
    expect(legsOf(await judge(mine, { recipient: 'abuse@example.com' }))).toEqual(['admin@two.example MX']);
    expect((await judge({}, { recipient: 'abuse@example.com' })).verdict).toBe('reject');
  });

  test('K12: mail to a postmaster elsewhere is no mail of the domain, to be signed as such', async () => {
    const verdict = await judge(
      { postmaster: 'admin@elsewhere.example' },
      { recipient: 'postmaster@example.com' },
    );
    expect(verdict).toMatchObject({ legs: [{ purpose: 'Mailbox', hop: { kind: 'Mx' } }] });
  });

  test('I11: a postmaster in another hosted domain is delivered by that domain', async () => {
    const policy = await policyOf([
      domainPolicy('example.com', { postmaster: 'admin@two.example' }),
      domainPolicy('two.example', { mailbox: { kind: 'Route', route: 'store' } }),
    ]);
    const verdict = judgeRcpt(policy, rcpt({ recipient: 'postmaster@example.com' }));
    expect(legsOf(verdict)).toEqual(['admin@two.example store']);
  });

  test('I11: a bare postmaster is the one of the first domain that names one', async () => {
    const policy = await policyOf([
      domainPolicy('a.example'),
      domainPolicy('b.example', { postmaster: 'user@b.example' }),
    ]);
    expect(legsOf(judgeRcpt(policy, rcpt({ recipient: 'Postmaster' })))).toEqual(['user@b.example Maildir']);
    expect((await judge({}, { recipient: 'postmaster' })).verdict).toBe('reject');
  });
});

describe('inbound routing', () => {
  const known = rule({ target: 'Known' });
  const unknown = rule({ target: 'Unknown', route: 'former' });

  test.each([
    ['known only', [known], ['user@example.com archive'], undefined],
    ['unknown only', [unknown], ['user@example.com Maildir'], ['nobody@example.com former']],
    ['both', [known, unknown], ['user@example.com archive'], ['nobody@example.com former']],
    ['neither', [], ['user@example.com Maildir'], undefined],
  ])('I5: rules for %s', async (_what, inboundRouting, forKnown, forUnknown) => {
    expect(legsOf(await judge({ inboundRouting }, {}))).toEqual(forKnown);
    const verdict = await judge({ inboundRouting }, { recipient: 'nobody@example.com' });
    if (forUnknown === undefined) expect(verdict).toMatchObject({ reply: { enhanced: '5.1.1' } });
    else expect(legsOf(verdict)).toEqual(forUnknown);
  });

  test('I6, I7: alsoDeliverLocally adds a mailbox leg for known recipients and none for unknown ones', async () => {
    const inboundRouting = [known, unknown].map((one) => ({ ...one, alsoDeliverLocally: true }));
    expect(legsOf(await judge({ inboundRouting }, {}))).toEqual([
      'user@example.com archive',
      'user@example.com Maildir',
    ]);
    expect(legsOf(await judge({ inboundRouting }, { recipient: 'nobody@example.com' }))).toEqual([
      'nobody@example.com former',
    ]);
  });

  test.each([
    ['Never', 'Ledger', 'Ledger'],
    ['Auto', 'Dsn', 'Ledger'],
    ['Always', 'Dsn', 'Dsn'],
  ] as const)(
    'I8: ndr %s ends a failed leg in: %s; beside a leg to the mailbox, which always reports, in: %s',
    async (ndr, alone, beside) => {
      expect(await judge({ inboundRouting: [rule({ ndr })] }, {})).toMatchObject({
        legs: [{ onFailure: alone }],
      });
      const inboundRouting = [rule({ ndr, alsoDeliverLocally: true })];
      expect(await judge({ inboundRouting }, {})).toMatchObject({
        legs: [{ onFailure: beside }, { onFailure: 'Dsn' }],
      });
    },
  );

  test.each([
    ['known', 'accept'],
    ['unknown', 'reject'],
    ['unavailable', 'defer'],
  ] as const)('I13: a Route that says %s means %s', async (answer, outcome) => {
    const inboundRouting = [rule({ target: 'Unknown', verifyRecipient: 'Probe' })];
    const recipient = 'nobody@example.com';
    expect(await judge({ inboundRouting }, { recipient })).toMatchObject({
      verdict: 'need',
      lookup: { route: 'archive', recipient },
    });
    const verdict = await judge(
      { inboundRouting },
      { recipient, lookups: answers({ [recipient]: answer }, 'archive') },
    );
    expect(verdict.verdict).toBe(outcome);
    if (outcome !== 'accept') {
      expect(verdict).toMatchObject({ because: { entry: 'spec.inboundRouting[External,Unknown]' } });
    }
  });

  test('I13: nobody asks a Route that only gets a copy', async () => {
    const inboundRouting = [rule({ verifyRecipient: 'Probe', alsoDeliverLocally: true })];
    expect((await judge({ inboundRouting }, {})).verdict).toBe('accept');
  });

  test('I2, I3: Internal is an account writing from its own address; the same sender without AUTH is External', async () => {
    const inboundRouting = [known, rule({ match: 'Internal', route: 'inside' })];
    const envelopeFrom = 'user@example.com';
    expect(legsOf(await judge({ inboundRouting }, { envelopeFrom, account }))).toEqual([
      'user@example.com inside',
    ]);
    expect(legsOf(await judge({ inboundRouting }, { envelopeFrom }))).toEqual(['user@example.com archive']);
    expect(legsOf(await judge({ inboundRouting }, { envelopeFrom: '', account }))).toEqual([
      'user@example.com archive',
    ]);
  });
});

async function judge(over: Partial<DomainPolicy>, facts: Partial<RcptFacts>): Promise<Verdict> {
  return judgeRcpt(await policyOf([domainPolicy('example.com', over)]), rcpt(facts));
}

function answers(given: Record<string, LookupAnswer>, route = 'store'): ReadonlyMap<string, LookupAnswer> {
  return new Map(
    Object.entries(given).map(([recipient, answer]) => [
      lookupKey({ kind: 'recipient', route, recipient }),
      answer,
    ]),
  );
}

function legsOf(verdict: Verdict): string[] {
  if (verdict.verdict !== 'accept') throw new Error(`verdict is ${verdict.verdict}`);
  return verdict.legs.map(({ recipient, hop }) => {
    const name = {
      Route: () => (hop.kind === 'Route' ? hop.route : ''),
      Maildir: () => 'Maildir',
      Mx: () => 'MX',
    };
    return `${recipient} ${name[hop.kind]()}`;
  });
}
