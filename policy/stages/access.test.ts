import { describe, expect, test } from 'vitest';
import type { RangeList } from '../../bundle/range-list.ts';
import { domainPolicy, gatewayPolicy, list, noon, policyOf, rcpt } from '../fixture.ts';
import { judgeRcpt } from '../judge.ts';
import type { AuthenticatedAccount, RcptFacts, Verdict } from '../types.ts';

const account: AuthenticatedAccount = {
  name: 'user@example.com',
  domain: 'example.com',
  kind: 'User',
  sendAs: [],
};

describe('allow and block lists', () => {
  test.each([
    ['the same address in both', ['192.0.2.1'], ['192.0.2.1'], '192.0.2.1', true],
    ['an allow address in a block range', ['192.0.2.1'], ['192.0.0.0/8'], '192.0.2.1', true],
    ['an allow range over a block address', ['192.0.0.0/8'], ['192.0.2.1'], '192.0.2.1', true],
    ['a neighbour of the allow address', ['192.0.2.1'], ['192.0.0.0/8'], '192.0.2.2', false],
    ['an IPv6 allow address in a block range', ['2001:db8::1'], ['2001:db8::/32'], '2001:db8::1', true],
    ['an IPv6 allow range over a block address', ['2001:db8::/32'], ['2001:db8::1'], '2001:db8::1', true],
  ])('A10: allow wins over block: %s', async (_what, allow, block, peer, accepted) => {
    const verdict = await judge([list('good', allow), list('bad', block)], { peer });
    expect(verdict.verdict).toBe(accepted ? 'accept' : 'reject');
    if (accepted)
      expect(verdict).toMatchObject({ allowed: true, because: { name: 'good', entry: allow[0] } });
    else expect(verdict).toMatchObject({ because: { name: 'bad', entry: block[0] } });
  });

  test.each(['::ffff:192.0.2.1', '::ffff:c000:201', '0:0:0:0:0:FFFF:192.0.2.1'])(
    'A11: the peer %s counts as 192.0.2.1',
    async (peer) => {
      expect(await judge([list('good', []), list('bad', ['192.0.2.1'])], { peer })).toMatchObject({
        verdict: 'reject',
        because: { entry: '192.0.2.1' },
      });
    },
  );

  test.each(['010.0.0.1', '10.1', 'unknown', ''])(
    'A11: a peer that cannot be read (%j) is deferred, never let past the lists',
    async (peer) => {
      expect(await judge([list('good', []), list('bad', [])], { peer })).toMatchObject({
        verdict: 'defer',
        reply: { code: 451, enhanced: '4.3.0' },
      });
    },
  );

  test('B3: a blocked peer gets 550 5.7.1, with the entry that holds it', async () => {
    expect(await judge([list('good', []), list('bad', ['192.0.2.0/24'])], {})).toMatchObject({
      verdict: 'reject',
      reply: { code: 550, enhanced: '5.7.1' },
      because: { kind: 'IpAccessList', name: 'bad', generation: 2, entry: '192.0.2.0/24' },
      disconnect: false,
    });
  });

  test('B5: an entry acts until its expiry, by the clock of the facts', async () => {
    const lists = [list('good', []), list('bad', ['192.0.2.1'], { '192.0.2.1': noon + 3 })];
    expect((await judge(lists, { now: noon + 2.9 })).verdict).toBe('reject');
    expect((await judge(lists, { now: noon + 3 })).verdict).toBe('accept');
  });

  test('B5: an allow entry that has expired lets the block act again', async () => {
    const lists = [list('good', ['192.0.2.1'], { '192.0.2.1': noon }), list('bad', ['192.0.2.0/24'])];
    expect((await judge(lists, { now: noon - 1 })).verdict).toBe('accept');
    expect((await judge(lists, { now: noon })).verdict).toBe('reject');
  });

  test('B6: an authenticated client is not looked up', async () => {
    const verdict = await judge([list('good', []), list('bad', ['192.0.2.1'])], { account });
    expect(verdict.verdict).toBe('accept');
    expect(verdict.trace).toContainEqual({ stage: 'access', outcome: 'skip', detail: 'authenticated' });
  });

  test('G2: the same peer is judged by the lists of each recipient domain', async () => {
    const policy = await policyOf(
      [
        domainPolicy('one.example', { access: { allow: [], block: [] } }),
        domainPolicy('two.example', { access: { allow: [], block: ['bad'] } }),
      ],
      [list('bad', ['192.0.2.1'])],
    );
    expect(judgeRcpt(policy, rcpt({ recipient: 'user@one.example' })).verdict).toBe('accept');
    expect(judgeRcpt(policy, rcpt({ recipient: 'user@two.example' })).verdict).toBe('reject');
  });

  test('A6: being allowed opens neither the relay nor the door for unknown recipients', async () => {
    const lists = [list('good', ['192.0.2.1']), list('bad', [])];
    expect(await judge(lists, { recipient: 'nobody@example.com' })).toMatchObject({
      reply: { enhanced: '5.1.1' },
    });
    expect(await judge(lists, { recipient: 'x@elsewhere.example' })).toMatchObject({
      reply: { enhanced: '5.7.1' },
    });
  });

  test.each(['postmaster', 'abuse', 'Postmaster'])(
    'I11: %s@ can be reached from a blocked peer',
    async (role) => {
      const lists = [list('good', []), list('bad', ['192.0.2.1'])];
      const verdict = await judge(
        lists,
        { recipient: `${role}@example.com` },
        { postmaster: 'user@example.com' },
      );
      expect(verdict).toMatchObject({ verdict: 'accept', legs: [{ recipient: 'user@example.com' }] });
      expect((await judge(lists, { recipient: `${role}@example.com` })).verdict).toBe('reject');
    },
  );

  test('A12: an allow entry over the gateway cancels a block of it and allows nobody', async () => {
    const lists = [list('good', ['198.51.100.0/24']), list('bad', ['198.51.100.7'])];
    const over = { gateway: gatewayPolicy() };
    expect(await judge(lists, { peer: '198.51.100.7' }, over)).toMatchObject({
      verdict: 'accept',
      allowed: false,
    });
    expect(
      (await judge([list('good', []), list('bad', ['198.51.100.7'])], { peer: '198.51.100.7' }, over))
        .verdict,
    ).toBe('reject');
  });
});

describe('only from the gateway', () => {
  test('D7: direct 550, via the gateway 250, an allowed peer 250 with a flag, an account 250', async () => {
    const over = { gateway: gatewayPolicy() };
    const none = [list('good', []), list('bad', [])];
    expect(await judge(none, {}, over)).toMatchObject({
      reply: { code: 550, enhanced: '5.7.1' },
      because: { kind: 'InboundGateway', name: 'front', entry: 'spec.onlyFromGateway' },
    });
    expect((await judge(none, { peer: '198.51.100.7' }, over)).verdict).toBe('accept');
    expect((await judge(none, { account }, over)).verdict).toBe('accept');
    const allowed = await judge([list('good', ['192.0.2.1']), list('bad', [])], {}, over);
    expect(allowed).toMatchObject({ verdict: 'accept', allowed: true });
    expect(allowed.trace).toContainEqual(
      expect.objectContaining({
        stage: 'gateway',
        outcome: 'note',
        detail: 'an allow list bypasses the gateway',
      }),
    );
  });

  test('I11: postmaster@ is not exempt from it', async () => {
    const over = { gateway: gatewayPolicy(), postmaster: 'user@example.com' };
    const verdict = await judge(
      [list('good', []), list('bad', [])],
      { recipient: 'postmaster@example.com' },
      over,
    );
    expect(verdict).toMatchObject({ because: { kind: 'InboundGateway' } });
  });
});

async function judge(
  lists: RangeList[],
  facts: Partial<RcptFacts>,
  over: Parameters<typeof domainPolicy>[1] = {},
): Promise<Verdict> {
  const access = { allow: ['good'], block: ['bad'] };
  return judgeRcpt(await policyOf([domainPolicy('example.com', { access, ...over })], lists), rcpt(facts));
}
