import { describe, expect, test } from 'vitest';
import type { DomainPolicy } from '../../bundle/domain-policy.ts';
import { domainPolicy, gatewayPolicy, list, policyOf, rcpt, recipients, rule, tlsPeers } from '../fixture.ts';
import { judgeRcpt } from '../judge.ts';
import type { AuthenticatedAccount, RcptFacts } from '../types.ts';

const authentication = domainPolicy('x').authentication;
const filter = {
  rspamdUrl: 'http://rspamd',
  onFailure: 'Accept',
  rejectAction: 'Junk',
  virusSymbols: [],
} as const;

describe('G8: recipients of one message', () => {
  const lists = [list('good', ['192.0.2.1'])];

  test.each<[string, Partial<DomainPolicy>]>([
    ['DMARC mode', { authentication: { ...authentication, dmarc: 'Reject' } }],
    ['size limit', { maxMessageBytes: 1 }],
    ['content filter', { contentFilter: { ...filter, virusSymbols: [] } }],
    ['allowed or not', { access: { allow: ['good'], block: [] } }],
    ['inbound TLS on a plain connection', { tls: tlsPeers('partner.example') }],
  ])('another %s: 250, then 452 4.5.3', async (_what, over) => {
    expect(await second(over, {}, lists)).toBe('452 4.5.3');
  });

  test.each<[string, Partial<DomainPolicy>]>([
    ['junk', { junk: { ...domainPolicy('x').junk, method: 'Subaddress' } }],
    ['mailbox', { mailbox: { kind: 'Route', route: 'store' } }],
    ['recipients', { recipients: recipients(['user', 'other']) }],
    ['routing', { inboundRouting: [rule({})] }],
    ['block lists that do not hold the peer', { access: { allow: [], block: [] } }],
    ['a gateway that the peer is not', { gateway: gatewayPolicy({ onlyFromGateway: false }) }],
  ])('only %s differs: 250, 250', async (_what, over) => {
    expect(await second(over, {}, lists)).toBe('accept');
  });

  test('another TLS policy matters on a plain connection only', async () => {
    expect(await second({ tls: tlsPeers('partner.example') }, { tls: true })).toBe('accept');
  });

  test('via a gateway its settings count', async () => {
    const gateway = gatewayPolicy({ skipContentFilter: true });
    expect(await second({ gateway }, { peer: '198.51.100.1' })).toBe('452 4.5.3');
    expect(await second({}, { peer: '198.51.100.1' })).toBe('accept');
  });

  test('P9: an account is never asked to send twice', async () => {
    const account: AuthenticatedAccount = {
      name: 'user@one.example',
      domain: 'one.example',
      kind: 'User',
      sendAs: [],
    };
    expect(await second({ maxMessageBytes: 1 }, { account })).toBe('accept');
  });
});

async function second(
  over: Partial<DomainPolicy>,
  facts: Partial<RcptFacts>,
  lists: Parameters<typeof policyOf>[1] = [],
): Promise<string> {
  const policy = await policyOf([domainPolicy('one.example'), domainPolicy('two.example', over)], lists);
  const first = judgeRcpt(policy, rcpt({ recipient: 'user@one.example', ...facts }));
  if (first.verdict !== 'accept') throw new Error(`first recipient: ${first.verdict}`);
  const { messageKey } = first;
  const then = judgeRcpt(
    policy,
    rcpt({ recipient: 'user@two.example', firstMessageKey: messageKey, ...facts }),
  );
  return then.verdict === 'defer' ? `${then.reply.code} ${then.reply.enhanced}` : then.verdict;
}
