import { describe, expect, test } from 'vitest';
import type { DomainPolicy, GatewayPolicy } from '../../bundle/domain-policy.ts';
import { authenticationOf, data, domainPolicy, gatewayPolicy, list, policyOf } from '../fixture.ts';
import { judgeData } from '../judge.ts';
import type { DataFacts, Verdict } from '../types.ts';

type Modes = Partial<DomainPolicy['authentication']>;

const lists = [list('friends', ['192.0.2.1'])];
const none: DomainPolicy['authentication'] = {
  spf: 'Disabled',
  dkim: 'Disabled',
  dmarc: 'Disabled',
  trustedArcSealers: [],
};

async function judge(
  modes: Modes,
  facts: Partial<DataFacts>,
  over: Partial<DomainPolicy> = {},
): Promise<Verdict> {
  const domain = domainPolicy('example.com', { authentication: { ...none, ...modes }, ...over });
  return judgeData(await policyOf([domain], lists), data(facts));
}

/** `inbox`, `junk` or the reply. */
function outcomeOf(verdict: Verdict): string {
  if (verdict.verdict === 'accept') return verdict.junk.has('example.com') ? 'junk' : 'inbox';
  return verdict.verdict === 'need' ? 'need' : `${verdict.reply.code} ${verdict.reply.enhanced}`;
}

function resultsOf(verdict: Verdict): string | undefined {
  return verdict.verdict === 'accept' ? verdict.headers.map(([, value]) => value).join('') : undefined;
}

const failed = (policy: 'none' | 'quarantine' | 'reject') =>
  authenticationOf({ spf: 'fail', dmarc: 'fail', policy });

describe('G19: what the modes make of the results', () => {
  test.each([
    [{ spf: 'Mark' }, authenticationOf({ spf: 'fail' }), 'inbox'],
    [{ spf: 'Mark' }, authenticationOf({ spf: 'temperror' }), 'inbox'],
    [{ spf: 'Reject' }, authenticationOf({ spf: 'pass' }), 'inbox'],
    [{ spf: 'Reject' }, authenticationOf({ spf: 'none' }), 'inbox'],
    [{ spf: 'Reject' }, authenticationOf({ spf: 'softfail' }), 'inbox'],
    [{ spf: 'Reject' }, authenticationOf({ spf: 'permerror' }), 'inbox'],
    [{ spf: 'Reject' }, authenticationOf({ spf: 'fail' }), '550 5.7.23'],
    [{ spf: 'Reject' }, authenticationOf({ spf: 'temperror' }), '451 4.7.0'],
    [{ dmarc: 'Mark' }, failed('reject'), 'inbox'],
    [{ dmarc: 'Quarantine' }, failed('none'), 'inbox'],
    [{ dmarc: 'Quarantine' }, failed('quarantine'), 'junk'],
    [{ dmarc: 'Quarantine' }, failed('reject'), 'junk'],
    [{ dmarc: 'Quarantine' }, authenticationOf({ dmarc: 'temperror' }), 'inbox'],
    [{ dmarc: 'Reject' }, failed('none'), 'inbox'],
    [{ dmarc: 'Reject' }, failed('quarantine'), 'junk'],
    [{ dmarc: 'Reject' }, failed('reject'), '550 5.7.26'],
    [{ dmarc: 'Reject' }, authenticationOf({ dmarc: 'pass', policy: 'reject' }), 'inbox'],
    [{ dmarc: 'Reject' }, authenticationOf({ dmarc: 'permerror' }), 'inbox'],
    [{ dmarc: 'Reject' }, authenticationOf({ dmarc: 'temperror' }), '451 4.7.0'],
    [
      { dmarc: 'Reject' },
      authenticationOf({ spf: 'temperror', dmarc: 'fail', policy: 'reject' }),
      '451 4.7.0',
    ],
    [{ dkim: 'Mark' }, authenticationOf({ dkim: { result: 'fail', domain: 'sender.example' } }), 'inbox'],
  ] as const)('%j, %j: %s', async (modes, authentication, outcome) => {
    expect(outcomeOf(await judge(modes, { authentication }))).toBe(outcome);
  });

  test('nothing is asked and nothing is written when all are Disabled', async () => {
    const verdict = await judge({}, {});
    expect(outcomeOf(verdict)).toBe('inbox');
    expect(resultsOf(verdict)).toBe('');
  });

  test('otherwise the results are asked for once, with the address of the peer', async () => {
    expect(await judge({ spf: 'Mark' }, {})).toMatchObject({
      verdict: 'need',
      lookup: { kind: 'authentication', client: '192.0.2.1' },
    });
  });

  test('what nobody can look up is taken to be in order, and the trace says so', async () => {
    const verdict = await judge({ spf: 'Reject' }, { authentication: 'notAsked' });
    expect(outcomeOf(verdict)).toBe('inbox');
    expect(verdict.trace.find(({ stage }) => stage === 'authentication')).toMatchObject({ outcome: 'note' });
  });
});

test('A6: of an allowed client the results are written and nothing else', async () => {
  const verdict = await judge(
    { spf: 'Reject', dmarc: 'Reject' },
    { authentication: failed('reject') },
    { access: { allow: ['friends'], block: [] } },
  );
  expect(outcomeOf(verdict)).toBe('inbox');
  expect(resultsOf(verdict)).toContain('spf=fail smtp.mailfrom=author@sender.example');
});

describe('D16: a trusted seal', () => {
  const sealedBy = (sealer: string, recordedDmarc: string, result: 'pass' | 'fail' = 'pass') =>
    authenticationOf({ dmarc: 'fail', policy: 'reject', arc: { result, sealer, recordedDmarc } });
  test.each([
    [sealedBy('list.example', 'pass'), 'inbox'],
    [sealedBy('LIST.example', 'pass'), 'inbox'],
    [sealedBy('list.example', 'fail'), '550 5.7.26'],
    [sealedBy('other.example', 'pass'), '550 5.7.26'],
    [sealedBy('list.example', 'pass', 'fail'), '550 5.7.26'],
  ])('%j: %s', async (authentication, outcome) => {
    const modes: Modes = { dmarc: 'Reject', trustedArcSealers: ['list.example'] };
    expect(outcomeOf(await judge(modes, { authentication }))).toBe(outcome);
  });
});

describe('D15: behind a gateway', () => {
  const hop = ['Received', 'from x (x [203.0.113.7]) by gw.example'] as const;
  const from = ['From', 'a@sender.example'] as const;
  const via = (
    headers: DataFacts['headers'],
    facts: Partial<DataFacts> = {},
    over: Partial<GatewayPolicy> = {},
  ) =>
    judge(
      { spf: 'Reject', dmarc: 'Reject' },
      { peer: '198.51.100.1', headers, ...facts },
      { gateway: gatewayPolicy(over) },
    );
  const trust = { trustedAuthservId: 'gw.example' };
  const bad =
    'gw.example; spf=fail smtp.mailfrom=a@sender.example; dmarc=fail (p=reject) header.from=sender.example';

  test('SPF is asked about the original client', async () => {
    expect(await via([hop, from])).toMatchObject({ lookup: { client: '203.0.113.7' } });
  });

  test('an unknown original client has no address, and so no SPF', async () => {
    expect(await via([from])).toMatchObject({ lookup: { kind: 'authentication' } });
    expect(await via([from])).not.toHaveProperty('lookup.client');
  });

  test.each([
    ['fail', failed('reject'), 'junk'],
    ['temperror', authenticationOf({ spf: 'temperror' }), 'inbox'],
  ])('without results of the gateway a %s sends to Junk at most', async (_, authentication, outcome) => {
    expect(outcomeOf(await via([hop, from], { authentication }))).toBe(outcome);
  });

  test('its topmost results stand in for ours', async () => {
    const good = 'gw.example; spf=pass smtp.mailfrom=a@sender.example; dmarc=pass header.from=sender.example';
    const verdict = await via(
      [['Authentication-Results', good], ['Authentication-Results', bad], hop, from],
      {},
      trust,
    );
    expect(outcomeOf(verdict)).toBe('inbox');
    expect(resultsOf(verdict)).toContain('dmarc=pass header.from=sender.example');
    const refused = await via([['Authentication-Results', bad], hop, from], {}, trust);
    expect(outcomeOf(refused)).toBe('550 5.7.23');
  });

  test.each([
    ['another name', 'other.example; spf=pass'],
    ['no results', 'gw.example; none'],
    ['a result in a comment', 'gw.example; auth=pass (x; spf=pass; dmarc=pass)'],
    ['a result in quotes', 'gw.example; auth=pass reason="x; spf=pass; dmarc=pass"'],
    ['a comment without end', 'gw.example; spf=pass (x'],
  ])('%s is not taken', async (_, value) => {
    expect(await via([['Authentication-Results', value], hop, from], {}, trust)).toMatchObject({
      verdict: 'need',
    });
  });

  test('another peer may not say so', async () => {
    const headers: DataFacts['headers'] = [['Authentication-Results', 'gw.example; spf=pass'], from];
    const gateway = gatewayPolicy({ ...trust, onlyFromGateway: false });
    expect(await judge({ spf: 'Mark' }, { headers }, { gateway })).toMatchObject({ verdict: 'need' });
  });
});

describe('G9: a report of failure goes to a proven sender only', () => {
  const signed = (domain: string) => authenticationOf({ spf: 'fail', dkim: { result: 'pass', domain } });
  test.each([
    [authenticationOf({ spf: 'pass' }), 'Dsn'],
    [authenticationOf({ spf: 'softfail' }), 'Ledger'],
    [signed('sender.example'), 'Dsn'],
    [signed('other.example'), 'Ledger'],
    [signed('example'), 'Ledger'],
    [authenticationOf({ spf: 'pass', dmarc: 'fail', policy: 'quarantine' }), 'Ledger'],
  ])('%j: %s', async (authentication, onFailure) => {
    const verdict = await judge({ spf: 'Mark', dmarc: 'Quarantine' }, { authentication });
    expect(verdict).toMatchObject({ legs: [{ onFailure }] });
  });

  test('where nothing is checked nobody is proven', async () => {
    expect(await judge({}, {})).toMatchObject({ legs: [{ onFailure: 'Ledger' }] });
  });
});
