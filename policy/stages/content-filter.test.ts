import { describe, expect, test } from 'vitest';
import type { DomainPolicy } from '../../bundle/domain-policy.ts';
import { data, domainPolicy, filterAnswer, filterPolicy, gatewayPolicy, list, policyOf } from '../fixture.ts';
import { judgeData } from '../judge.ts';
import type { DataFacts, Verdict } from '../types.ts';

const lists = [list('friends', ['192.0.2.1'])];

async function judge(
  filter: Parameters<typeof filterPolicy>[0],
  facts: Partial<DataFacts>,
  over: Partial<DomainPolicy> = {},
): Promise<Verdict> {
  const domain = domainPolicy('example.com', { contentFilter: filterPolicy(filter), ...over });
  return judgeData(await policyOf([domain], lists), data(facts));
}

function outcomeOf(verdict: Verdict): string {
  if (verdict.verdict === 'accept') return verdict.junk.has('example.com') ? 'junk' : 'inbox';
  return verdict.verdict === 'need' ? 'need' : `${verdict.reply.code} ${verdict.reply.enhanced}`;
}

const down = { kind: 'unavailable', problem: 'refused' } as const;

describe('G17: what the verdicts of the filter mean', () => {
  test.each([
    [{}, filterAnswer('no action'), 'inbox'],
    [{}, filterAnswer('greylist'), 'inbox'],
    [{}, filterAnswer('a word of tomorrow'), 'inbox'],
    [{}, filterAnswer('add header'), 'junk'],
    [{}, filterAnswer('rewrite subject'), 'junk'],
    [{}, filterAnswer('soft reject'), '451 4.7.1'],
    [{}, filterAnswer('reject'), 'junk'],
    [{ rejectAction: 'Reject' }, filterAnswer('reject'), '550 5.7.1'],
    [{ rejectAction: 'Reject' }, filterAnswer('add header'), 'junk'],
    [{}, filterAnswer('no action', ['VIRUS']), '550 5.7.1'],
    [{}, down, 'inbox'],
    [{ onFailure: 'Defer' }, down, '451 4.7.1'],
  ] as const)('%j, %j: %s', async (filter, contentFilter, outcome) => {
    expect(outcomeOf(await judge(filter, { contentFilter }))).toBe(outcome);
  });

  test('it is asked once, with the address of the client', async () => {
    expect(await judge({}, {})).toMatchObject({
      lookup: { kind: 'contentFilter', url: 'http://rspamd.example:11333', client: '192.0.2.1' },
    });
  });

  test('what nobody can ask is taken to be in order, and the trace says so', async () => {
    const verdict = await judge({ onFailure: 'Defer' }, { contentFilter: 'notAsked' });
    expect(outcomeOf(verdict)).toBe('inbox');
    expect(verdict.trace.find(({ stage }) => stage === 'content-filter')).toMatchObject({ outcome: 'skip' });
  });
});

const skipped: [name: string, facts: Partial<DataFacts>, over: Partial<DomainPolicy>][] = [
  ['A6: of an allowed client', {}, { access: { allow: ['friends'], block: [] } }],
  [
    'D10: via a gateway that filters',
    { peer: '198.51.100.1' },
    { gateway: gatewayPolicy({ skipContentFilter: true }) },
  ],
];

describe.each(skipped)('%s', (_, facts, over) => {
  test.each([
    [filterAnswer('reject'), 'inbox'],
    [filterAnswer('soft reject'), 'inbox'],
    [filterAnswer('add header'), 'inbox'],
    [filterAnswer('reject', ['VIRUS']), '550 5.7.1'],
  ] as const)('only a virus counts: %j: %s', async (contentFilter, outcome) => {
    const verdict = await judge({ rejectAction: 'Reject' }, { ...facts, contentFilter }, over);
    expect(outcomeOf(verdict)).toBe(outcome);
  });

  test('the filter is not asked if it names no virus symbols', async () => {
    expect(outcomeOf(await judge({ virusSymbols: [] }, facts, over))).toBe('inbox');
  });
});
