import { describe, expect, test } from 'vitest';
import type { DomainPolicy, GatewayPolicy } from '../../bundle/domain-policy.ts';
import { data, domainPolicy, gatewayPolicy, list, policyOf, rcpt } from '../fixture.ts';
import { judgeData, judgeRcpt } from '../judge.ts';
import type { Accepted, DataFacts, Verdict } from '../types.ts';

const peer = '198.51.100.1';
const author = ['From', 'author@sender.example'] as const;
const good = '203.0.113.7';
const bad = '192.0.2.66';
const lists = [list('good', [`${good}`]), list('bad', ['192.0.2.0/24'])];
const access = { allow: ['good'], block: ['bad'] };

/** A Received line of a hop that was given the message by this address. */
function hop(address: string): readonly [string, string] {
  return ['Received', `from [203.0.113.250] (unknown [${address}]) by hop.example (Postfix) with ESMTP; now`];
}

describe('the original client', () => {
  test.each([
    ['the client of the only hop', [hop(bad)], 'blocked'],
    ['behind three hops', [hop('198.51.100.2'), hop('198.51.100.3'), hop(bad)], 'blocked'],
    ['behind a filter on the same machine', [hop('127.0.0.1'), hop('::1'), hop(bad)], 'blocked'],
    ['above forged lines', [hop(bad), hop(good), hop('198.51.100.2'), hop(good)], 'blocked'],
    ['an allowed one', [hop(good), hop(bad)], 'allowed'],
    ['an unlisted hop', [hop('198.51.100.2'), hop('10.9.8.7'), hop(bad)], 'neither'],
    [
      'nobody, for the line is unclear',
      [['Received', 'from [192.0.2.66] by hop.example'], hop(bad)],
      'neither',
    ],
    ['nobody, for all are hops', [hop('198.51.100.2')], 'neither'],
    ['nobody without Received', [], 'neither'],
  ] as [string, DataFacts['headers'], string][])('D13: %s', async (_what, received, outcome) => {
    const verdict = await viaGateway({}, [...received, author], { access });
    expect(outcomeOf(verdict)).toBe(outcome);
  });

  test('D4: a hop that is not registered is named by the trace', async () => {
    const { trace } = await viaGateway({}, [hop('10.9.8.7'), hop(bad), author], { access });
    expect(trace).toContainEqual(
      expect.objectContaining({
        stage: 'original-client',
        detail: 'the original client is 10.9.8.7',
        because: { kind: 'InboundGateway', name: 'front', generation: 1, entry: 'spec.addresses' },
      }),
    );
  });

  test('D13: nothing is read from a message that comes another way', async () => {
    const policy = await policyOf([domainPolicy('example.com', { access, gateway: gatewayPolicy() })], lists);
    expect(outcomeOf(judgeData(policy, data({ peer: good, headers: [hop(bad), author] })))).toBe('allowed');
  });

  test('D11: a blocked original client is refused although the content filter is skipped', async () => {
    const verdict = await viaGateway({ skipContentFilter: true }, [hop(bad), author], { access });
    expect(verdict).toMatchObject({
      reply: { code: 550, enhanced: '5.7.1' },
      because: { kind: 'IpAccessList', name: 'bad', entry: '192.0.2.0/24' },
    });
  });

  test('I11: mail for the postmaster alone passes the block list, and is kept apart by its message key', async () => {
    const policy = await policyOf([domainPolicy('example.com', { access, gateway: gatewayPolicy() })], lists);
    const postmaster = domainPolicy('example.com', {
      access,
      gateway: gatewayPolicy(),
      postmaster: 'user@example.com',
    });
    const facts = { peer, headers: [hop(bad), author], recipients: ['abuse@example.com'] };
    expect(judgeData(await policyOf([postmaster], lists), data(facts)).verdict).toBe('accept');
    const first = accepted(judgeRcpt(policy, rcpt({ peer })));
    const second = rcpt({ peer, recipient: 'abuse@example.com', firstMessageKey: first.messageKey });
    expect(judgeRcpt(await policyOf([postmaster], lists), second)).toMatchObject({ reply: { code: 452 } });
  });
});

describe('spam', () => {
  const marked = ['X-Gateway-Verdict', 'spam'] as const;
  const gateway = { junkPatterns: ['^X-Gateway-Verdict: spam$'] };

  test.each<[string, Partial<GatewayPolicy>, DataFacts['headers'], boolean]>([
    ['a header that the pattern matches', gateway, [marked], true],
    ['a header that it misses', gateway, [['X-Gateway-Verdict', 'spam?']], false],
    ['part of a line', { junkPatterns: ['ict: sp'] }, [marked], true],
    ['the second of two patterns', { junkPatterns: ['nothing', 'ict: sp'] }, [marked], true],
    ['no pattern', {}, [marked], false],
    ['a pattern that stalls others', { junkPatterns: ['(a+)+$'] }, [['X', `${'a'.repeat(9_000)}b`]], false],
  ])('D9: %s', async (_what, over, headers, junk) => {
    const verdict = accepted(await viaGateway(over, [hop('10.9.8.7'), ...headers, author]));
    expect(verdict.junk.has('example.com')).toBe(junk);
  });

  test('D9: only mail via the gateway is looked at', async () => {
    const policy = await policyOf([
      domainPolicy('example.com', { gateway: gatewayPolicy({ ...gateway, onlyFromGateway: false }) }),
    ]);
    expect(accepted(judgeData(policy, data({ headers: [marked, author] }))).junk.size).toBe(0);
  });

  test('A6, A12: patterns do not mark the mail of an allowed original client', async () => {
    const verdict = await viaGateway(gateway, [hop(good), marked, author], { access });
    expect(accepted(verdict).junk.size).toBe(0);
  });

  test('G8, D9: each domain has its own patterns within one message', async () => {
    const policy = await policyOf([
      domainPolicy('example.com', { gateway: gatewayPolicy(gateway) }),
      domainPolicy('other.example', { gateway: gatewayPolicy() }),
    ]);
    const recipients = ['user@example.com', 'user@other.example'];
    const verdict = accepted(
      judgeData(policy, data({ peer, headers: [hop(bad), marked, author], recipients })),
    );
    expect([...verdict.junk]).toEqual([
      [
        'example.com',
        { kind: 'InboundGateway', name: 'front', generation: 1, entry: '^X-Gateway-Verdict: spam$' },
      ],
    ]);
  });

  test.each<[string, Partial<GatewayPolicy>, string, string]>([
    ['the gateway skips it', { skipContentFilter: true }, '10.9.8.7', 'no spam filter: the gateway has one'],
    ['the client is allowed', {}, good, 'no spam filter: the client is allowed'],
    ['neither', {}, '10.9.8.7', ''],
  ])('D10, A6: the content filter if %s', async (_what, over, client, detail) => {
    const { trace } = await viaGateway(over, [hop(client), author], { access });
    expect(trace.find(({ stage }) => stage === 'filter-scope')?.detail).toBe(detail);
  });
});

describe('settings of one message', () => {
  test.each<[string, Partial<DomainPolicy>, Partial<GatewayPolicy>, string]>([
    ['the same', { access }, {}, '250'],
    ['other lists', { access: { allow: [], block: ['bad'] } }, {}, '452'],
    ['other addresses', { access }, { addresses: ['198.51.100.1'] }, '452'],
    ['another content filter', { access }, { skipContentFilter: true }, '452'],
    ['other patterns', { access }, { junkPatterns: ['x'] }, '250'],
  ])('G8: two domains behind a gateway with %s', async (_what, over, gateway, answer) => {
    const policy = await policyOf(
      [
        domainPolicy('example.com', { access, gateway: gatewayPolicy() }),
        domainPolicy('other.example', { ...over, gateway: gatewayPolicy(gateway) }),
      ],
      lists,
    );
    const firstMessageKey = accepted(judgeRcpt(policy, rcpt({ peer }))).messageKey;
    const verdict = judgeRcpt(policy, rcpt({ peer, recipient: 'user@other.example', firstMessageKey }));
    expect(verdict.verdict === 'accept' ? '250' : 'reply' in verdict && String(verdict.reply.code)).toBe(
      answer,
    );
  });
});

describe('G15: a gateway in Audit', () => {
  const enforced = domainPolicy('example.com', { access });
  const audited = domainPolicy('example.com', { access, gateway: gatewayPolicy() });

  test('says at RCPT whom it would refuse', async () => {
    const policy = await policyOf([enforced], lists, [audited]);
    expect(accepted(judgeRcpt(policy, rcpt({ peer: '10.9.8.7' }))).audited).toMatchObject([
      { because: { kind: 'InboundGateway', entry: 'spec.onlyFromGateway' } },
    ]);
    expect(accepted(judgeRcpt(policy, rcpt({ peer }))).audited).toEqual([]);
  });

  test('says at end of DATA which original client it would refuse', async () => {
    const policy = await policyOf([enforced], lists, [audited]);
    const facts = data({ peer, headers: [hop(bad), author] });
    expect(accepted(judgeData(policy, facts)).audited).toMatchObject([{ because: { name: 'bad' } }]);
  });
});

async function viaGateway(
  gateway: Partial<GatewayPolicy>,
  headers: DataFacts['headers'],
  over: Partial<DomainPolicy> = {},
): Promise<Verdict> {
  const domain = domainPolicy('example.com', { ...over, gateway: gatewayPolicy(gateway) });
  return judgeData(await policyOf([domain], lists), data({ peer, headers }));
}

function accepted(verdict: Verdict): Accepted {
  if (verdict.verdict !== 'accept') throw new Error(`not accepted: ${JSON.stringify(verdict)}`);
  return verdict;
}

function outcomeOf(verdict: Verdict): string {
  if (verdict.verdict === 'accept') return verdict.allowed ? 'allowed' : 'neither';
  return verdict.verdict === 'reject' && verdict.reply.enhanced === '5.7.1' ? 'blocked' : verdict.verdict;
}
