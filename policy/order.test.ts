import { describe, expect, test } from 'vitest';
import type { DomainPolicy } from '../bundle/domain-policy.ts';
import {
  authenticationOf,
  data,
  domainPolicy,
  filterAnswer,
  filterPolicy,
  gatewayPolicy,
  list,
  policyOf,
  rcpt,
  recipients,
  tlsPeers,
} from './fixture.ts';
import { judgeConnect, judgeData, judgeMail, judgeRcpt } from './judge.ts';
import { order } from './order.ts';
import { type ReplyCase, replies } from './reply.ts';
import type { AuthenticatedAccount, DataFacts, Verdict } from './types.ts';

// One row for each stage: facts that it refuses, with everything in them that later stages would refuse too. A row that still
// gives its own reply shows that its stage comes before all those.

const strict: Partial<DomainPolicy> = {
  access: { allow: [], block: ['bad'] },
  tls: tlsPeers('sender.example'),
  gateway: gatewayPolicy(),
};
const lists = [list('bad', ['192.0.2.0/24'])];
const account: AuthenticatedAccount = {
  name: 'user@example.com',
  domain: 'example.com',
  kind: 'User',
  sendAs: [],
};
const received: DataFacts['headers'] = Array.from({ length: 6 }, () => [
  'Received',
  'from x by mx.example.com; now',
]);

/** An original client in the block list, behind the gateway. */
const viaGateway: Partial<DataFacts> = {
  peer: '198.51.100.1',
  tls: true,
  headers: [
    ['Received', 'from x (x [192.0.2.9]) by gw.example'],
    ['From', 'a@sender.example'],
  ],
};
const clean: DataFacts['headers'] = [['From', 'a@sender.example']];
const passed = authenticationOf({ spf: 'pass' });

/** Stages that only note something: what they note is in the tests beside them. */
const neverRefuse = new Set([
  'returned-internal',
  'original-client',
  'junk-patterns',
  'filter-scope',
  'signing',
]);

const connectRows: [stage: string, reply: ReplyCase, verdict: () => Verdict][] = [
  ['service', 'draining', () => judgeConnect(undefined, rcpt(), true)],
  ['service', 'noPolicy', () => judgeConnect(undefined, rcpt(), false)],
];

const mailRows: typeof rcptRows = [
  [
    'sender-form',
    'nonAscii',
    async () => judgeMail(await policyOf([]), rcpt({ account, envelopeFrom: 'ü@x.example' })),
  ],
  [
    'submission',
    'senderNotOwned',
    async () => judgeMail(await policyOf([domainPolicy('example.com')]), rcpt({ account })),
  ],
];

const rcptRows: [stage: string, reply: ReplyCase, verdict: () => Promise<Verdict>][] = [
  ['address-form', 'routedLocalPart', () => onRcpt(strict, { recipient: 'nobody%x@elsewhere.example' })],
  ['relay', 'relaying', () => onRcpt(strict, { recipient: 'nobody@elsewhere.example' })],
  ['relay', 'noDomains', async () => judgeRcpt(await policyOf([]), rcpt({}))],
  ['inbound-tls', 'tlsRequired', () => onRcpt(strict, {})],
  ['access', 'blocked', () => onRcpt(strict, { tls: true })],
  ['gateway', 'notFromGateway', () => onRcpt({ ...strict, access: { allow: [], block: [] } }, { tls: true })],
  ['recipient', 'unknownRecipient', () => onRcpt({}, { tls: true })],
  [
    'account-limit',
    'accountLimit',
    () => onRcpt({}, { account, accountRecipients: 500, recipient: 'user@example.com' }),
  ],
  ['message-key', 'otherSettings', () => onRcpt({}, { recipient: 'user@example.com' })],
];

const dataRows: typeof rcptRows = [
  ['smuggling', 'smuggling', () => onData({ smuggling: 'nul', size: 1e6 })],
  ['size', 'tooBig', () => onData({ size: 1e6 })],
  ['from-tls', 'tlsRequired', () => onData({})],
  ['from-header', 'badFrom', () => onData({ account, headers: [['From', 'nobody'], ...received] })],
  ['submission-from', 'fromNotOwned', () => onData({ account })],
  ['loop', 'loop', () => onData({ tls: true })],
  ['client-access', 'blocked', () => onData(viaGateway)],
  ['authentication', 'spfFailed', () => onData({ tls: true, headers: clean })],
  ['content-filter', 'contentRefused', () => onData({ tls: true, headers: clean, authentication: passed })],
  [
    'delivery',
    'unknownRecipient',
    () => onData({ tls: true, headers: clean, authentication: passed, contentFilter: filterAnswer() }),
  ],
];

describe('the first stage that refuses decides', () => {
  const rows = [
    ...connectRows.map(([stage, reply, verdict]) => [stage, reply, async () => verdict()] as const),
    ...mailRows,
    ...rcptRows,
    ...dataRows,
  ];

  test.each(rows)('%s: %s', async (stage, reply, judge) => {
    const verdict = await judge();
    expect(verdict).toMatchObject({ reply: plain(reply) });
    expect(verdict.trace.at(-1)).toMatchObject({ stage, outcome: 'reject' });
  });

  test('every stage that can refuse has a row, in the order of the rows', () => {
    const names = Object.values(order)
      .flat()
      .map(({ name }) => name)
      .filter((name) => !neverRefuse.has(name));
    expect([...new Set(rows.map(([stage]) => stage))]).toEqual(names);
  });

  test('every stage says what it does and for which behaviours', () => {
    for (const { name, ids, about } of Object.values(order).flat()) {
      expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
      expect(ids.length).toBeGreaterThan(0);
      for (const id of ids) expect(id).toMatch(/^[A-Z][0-9]+$/);
      expect(about).toMatch(/^[A-Z].*\.$/);
    }
  });
});

async function onRcpt(over: Partial<DomainPolicy>, facts: Parameters<typeof rcpt>[0]): Promise<Verdict> {
  const policy = await policyOf([domainPolicy('example.com', over)], lists);
  return judgeRcpt(policy, rcpt({ recipient: 'nobody@example.com', firstMessageKey: 'another', ...facts }));
}

async function onData(facts: Partial<DataFacts>): Promise<Verdict> {
  const domain = domainPolicy('example.com', {
    access: { allow: [], block: ['bad'] },
    gateway: gatewayPolicy(),
    tls: tlsPeers('sender.example'),
    recipients: recipients(['user']),
    authentication: { spf: 'Reject', dkim: 'Mark', dmarc: 'Reject', trustedArcSealers: [] },
    contentFilter: filterPolicy({ rejectAction: 'Reject' }),
  });
  const headers: DataFacts['headers'] = [['From', 'a@sender.example'], ...received];
  return judgeData(
    await policyOf([domain], lists),
    data({
      recipients: ['nobody@example.com'],
      headers,
      authentication: authenticationOf({ spf: 'fail' }),
      contentFilter: filterAnswer('reject'),
      ...facts,
    }),
  );
}

function plain(name: ReplyCase) {
  const { code, enhanced, text } = replies[name];
  return { code, enhanced, text };
}
