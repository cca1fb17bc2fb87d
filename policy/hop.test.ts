import { describe, expect, test } from 'vitest';
import { data, domainPolicy, gatewayPolicy, policyOf, rule } from './fixture.ts';
import { judgeData } from './judge.ts';
import type { DataFacts, HopMarks } from './types.ts';

const gateway = '198.51.100.1';
const been = (...routes: string[]): HopMarks => ({
  hasVisited: (route) => routes.includes(route),
  isInternal: () => false,
});
const internal: HopMarks = { hasVisited: () => false, isInternal: () => true };
const dlp = {
  name: 'dlp@example.com',
  domain: 'example.com',
  kind: 'Relay',
  sendAs: ['*@example.com'],
  fromRoute: 'filter',
} as const;

const { fromRoute: _fromRoute, ...user } = dlp;

async function judge(over: Parameters<typeof domainPolicy>[1], facts: Partial<DataFacts>) {
  const policy = await policyOf([domainPolicy('example.com', over)]);
  const verdict = judgeData(policy, data({ tls: true, ...facts }));
  if (verdict.verdict === 'accept')
    return verdict.legs.map(({ hop }) => (hop.kind === 'Route' ? hop.route : hop.kind));
  return verdict.verdict === 'need' ? 'need' : `${verdict.reply.code} ${verdict.reply.enhanced}`;
}

describe('G10: where the mail of a recipient has been', () => {
  const routed = {
    inboundRouting: [rule({ route: 'filter' })],
    gateway: gatewayPolicy({ onlyFromGateway: false }),
  };

  test.each<[string, Partial<DataFacts>, unknown]>([
    ['never there', {}, ['filter']],
    ['elsewhere', { hopMarks: been('other') }, ['filter']],
    ['back from anyone', { hopMarks: been('filter') }, '554 5.4.6'],
    ['back through the gateway', { hopMarks: been('filter'), peer: gateway }, ['Maildir']],
    [
      'back by another account',
      {
        hopMarks: been('filter'),
        account: { ...dlp, fromRoute: 'other' },
        envelopeFrom: 'a@example.com',
        headers: [['From', 'a@elsewhere.example']],
      },
      '550 5.7.1',
    ],
  ])('%s', async (_what, facts, expected) => {
    expect(await judge(routed, facts)).toEqual(expected);
  });

  test('unknown recipients have no mailbox to skip to', async () => {
    const unknown = { ...routed, inboundRouting: [rule({ target: 'Unknown', route: 'filter' })] };
    const facts = { recipients: ['new@example.com'], hopMarks: been('filter'), peer: gateway };
    expect(await judge(unknown, facts)).toBe('554 5.4.6');
  });

  test('a mailbox that it has been at is no place to skip to', async () => {
    const store = { ...routed, mailbox: { kind: 'Route', route: 'store' } } as const;
    expect(await judge(store, { hopMarks: been('filter', 'store'), peer: gateway })).toBe('554 5.4.6');
  });
});

describe('D8: back from the gateway', () => {
  const through = {
    gateway: gatewayPolicy({ onlyFromGateway: false, internalMailViaGateway: true, route: 'filter' }),
    inboundRouting: [rule({ match: 'Internal', route: 'archive' })],
  };
  const own = { envelopeFrom: 'a@example.com', headers: [['From', 'a@example.com']] } as const;

  test.each<[string, Partial<DataFacts>, unknown]>([
    [
      'with the mark, through the gateway: Internal',
      { ...own, hopMarks: internal, peer: gateway },
      ['archive'],
    ],
    ['with the mark, from elsewhere: External', { ...own, hopMarks: internal }, ['Maildir']],
    ['without the mark: External', { ...own, peer: gateway }, ['Maildir']],
    [
      'with a From header of somebody else: External',
      { ...own, headers: [['From', 'a@elsewhere.example']], hopMarks: internal, peer: gateway },
      ['Maildir'],
    ],
    ['Internal for the first time: to the gateway', { ...own, account: user }, ['filter']],
    ['handed back by an account of a Route: External', { ...own, account: dlp }, ['Maildir']],
    [
      'with the mark for one of two recipients: External',
      {
        ...own,
        peer: gateway,
        recipients: ['user@example.com', 'info@example.com'],
        hopMarks: { hasVisited: () => false, isInternal: (recipient) => recipient.startsWith('user') },
      },
      ['Maildir', 'Maildir'],
    ],
  ])('%s', async (_what, facts, expected) => {
    expect(await judge(through, facts)).toEqual(expected);
  });
});
