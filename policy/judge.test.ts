import { describe, expect, test } from 'vitest';
import type { DomainPolicy } from '../bundle/domain-policy.ts';
import { data, domainPolicy, gatewayPolicy, list, policyOf, rcpt, recipients, tlsPeers } from './fixture.ts';
import { judgeConnect, judgeData, judgeMail, judgeRcpt } from './judge.ts';
import { order } from './order.ts';

describe('a verdict', () => {
  test('has a trace of all stages that were asked, in order', async () => {
    const policy = await policyOf([domainPolicy('example.com')]);
    const stages = (trace: readonly { stage: string }[]) => trace.map(({ stage }) => stage);
    const names = (list: readonly { name: string }[]) => list.map(({ name }) => name);
    expect(stages(judgeConnect(policy, rcpt(), false).trace)).toEqual(names(order.connect));
    expect(stages(judgeMail(policy, rcpt()).trace)).toEqual(names(order.mail));
    expect(stages(judgeRcpt(policy, rcpt()).trace)).toEqual(names(order.rcpt));
    expect(stages(judgeData(policy, data()).trace)).toEqual(names(order.data));
    const refused = judgeRcpt(policy, rcpt({ recipient: 'x@elsewhere.example' }));
    expect(stages(refused.trace)).toEqual(['address-form', 'relay']);
  });

  test('G14: without a bundle every command is answered 421 4.3.2', () => {
    for (const verdict of [
      judgeConnect(undefined, rcpt(), false),
      judgeMail(undefined, rcpt()),
      judgeRcpt(undefined, rcpt()),
      judgeData(undefined, data()),
    ]) {
      expect(verdict).toMatchObject({
        verdict: 'defer',
        reply: { code: 421, enhanced: '4.3.2' },
        disconnect: true,
      });
    }
  });

  test('a look-up is asked for only if no earlier stage refuses', async () => {
    const over = { recipients: recipients([], { mode: 'Probe', probeRoute: 'store' }) };
    const blocked = { ...over, access: { allow: [], block: ['bad'] } };
    const lists = [list('bad', ['192.0.2.1'])];
    expect(judgeRcpt(await policyOf([domainPolicy('example.com', over)]), rcpt()).verdict).toBe('need');
    expect(judgeRcpt(await policyOf([domainPolicy('example.com', blocked)], lists), rcpt()).verdict).toBe(
      'reject',
    );
  });

  test('says nothing of what the client sent', async () => {
    const policy = await policyOf([domainPolicy('example.com')]);
    const verdict = judgeRcpt(
      policy,
      rcpt({ recipient: 'sécret%"\r\n250 OK@example.com', envelopeFrom: 'evil' }),
    );
    expect(JSON.stringify(verdict)).not.toMatch(/cret|250 OK|evil/);
  });
});

describe('G15: an object in Audit', () => {
  const lists = [list('bad', ['192.0.2.1'])];
  const strict: [string, Partial<DomainPolicy>, string][] = [
    ['IpAccessList', { access: { allow: [], block: ['bad'] } }, '192.0.2.1'],
    ['InboundGateway', { gateway: gatewayPolicy() }, 'spec.onlyFromGateway'],
    ['TlsPolicy', { tls: tlsPeers('sender.example') }, 'sender.example'],
  ];

  test.each(strict)('%s changes nothing and says what it would do', async (kind, over, entry) => {
    const policy = await policyOf([domainPolicy('example.com')], lists, [domainPolicy('example.com', over)]);
    const verdict = judgeRcpt(policy, rcpt());
    const enforced = judgeRcpt(await policyOf([domainPolicy('example.com', over)], lists), rcpt());
    if (enforced.verdict !== 'reject') throw new Error(enforced.verdict);
    expect(verdict).toMatchObject({
      verdict: 'accept',
      audited: [{ reply: enforced.reply, because: { kind, entry } }],
    });
    expect(verdict.trace).toEqual(judgeRcpt(await policyOf([domainPolicy('example.com')]), rcpt()).trace);
  });

  test('TlsPolicy is audited at end of DATA too', async () => {
    const over = { tls: tlsPeers('sender.example') };
    const policy = await policyOf([domainPolicy('example.com')], [], [domainPolicy('example.com', over)]);
    const facts = data({ envelopeFrom: '' });
    expect(judgeData(policy, facts)).toMatchObject({
      verdict: 'accept',
      audited: [{ because: { kind: 'TlsPolicy' } }],
    });
    expect(judgeData(policy, { ...facts, tls: true })).toMatchObject({ audited: [] });
  });

  test('an allow list in Audit neither allows nor asks for another message', async () => {
    const audited = domainPolicy('example.com', { access: { allow: ['bad'], block: [] } });
    const policy = await policyOf([domainPolicy('example.com'), domainPolicy('two.example')], lists, [
      audited,
    ]);
    const first = judgeRcpt(policy, rcpt({ recipient: 'user@two.example' }));
    if (first.verdict !== 'accept') throw new Error(first.verdict);
    expect(judgeRcpt(policy, rcpt({ firstMessageKey: first.messageKey }))).toMatchObject({
      verdict: 'accept',
      allowed: false,
      audited: [],
    });
  });

  test('other domains are not concerned', async () => {
    const audited = domainPolicy('example.com', { access: { allow: [], block: ['bad'] } });
    const policy = await policyOf([domainPolicy('example.com'), domainPolicy('two.example')], lists, [
      audited,
    ]);
    expect(judgeRcpt(policy, rcpt({ recipient: 'user@two.example' }))).toMatchObject({ audited: [] });
  });
});
