import { describe, expect, test } from 'vitest';
import { bundleOf, domainPolicy, gatewayPolicy, list, rcpt } from './fixture.ts';
import { judgeRcpt } from './judge.ts';
import { ListDraft } from './list-draft.ts';
import { loadPolicy } from './load.ts';
import { workInSlices } from './slices.ts';

const access = { allow: ['good'], block: ['bad'] };

describe('loadPolicy', () => {
  test('A2: takes 20,000 entries in slices and lets others run in between', async () => {
    const ranges = (first: number) =>
      Array.from({ length: 5000 }, (_, i) => [
        `${first}.${i >>> 8}.${i & 255}.1`,
        `2001:db8:${i.toString(16)}::${first}`,
      ]).flat();
    let pauses = 0;
    const bundle = bundleOf(
      [domainPolicy('example.com', { access })],
      [list('good', ranges(1)), list('bad', ranges(2))],
    );
    const policy = await loadPolicy(bundle, {
      pause: async () => {
        pauses++;
      },
    });
    expect(pauses).toBeGreaterThan(20);
    expect(judgeRcpt(policy, rcpt({ peer: '1.19.135.1' }))).toMatchObject({
      because: { entry: '1.19.135.1' },
    });
    expect(judgeRcpt(policy, rcpt({ peer: '2.19.135.1' })).verdict).toBe('reject');
    expect(judgeRcpt(policy, rcpt({ peer: '2001:db8:1387::2' })).verdict).toBe('reject');
  });

  test('a list is taken as it is, in whatever pieces it comes', async () => {
    const expires = { '192.0.2.2': 1_800_000_000 };
    const whole = await loadPolicy(
      bundleOf([], [list('a', ['192.0.2.1', '192.0.2.0/24', '2001:db8::/32', '192.0.2.2'], expires)]),
    );
    const draft = new ListDraft('a');
    await workInSlices(draft.add(['2001:db8::/32'], {}));
    await workInSlices(draft.add(['192.0.2.2'], expires));
    await workInSlices(draft.add([], {}));
    await workInSlices(draft.add(['192.0.2.1', '192.0.2.0/24'], {}));
    const pieced = await workInSlices(draft.finish(list('a', []).source));
    expect(pieced).toEqual(whole.lists.get('a'));
  });

  test.each([
    [
      'a list that is not there',
      bundleOf([domainPolicy('example.com', { access })], []),
      'domain example.com: list good is not in the bundle',
    ],
    [
      'a domain twice',
      bundleOf([domainPolicy('a.example'), domainPolicy('A.example.')]),
      'domain a.example: stands twice',
    ],
    ['a list twice', bundleOf([], [list('a', []), list('a', [])]), 'list a: stands twice'],
    [
      'an entry with host bits',
      bundleOf([], [list('a', ['10.0.0.1/8'])]),
      'list a: "10.0.0.1/8" is no canonical address or CIDR',
    ],
    [
      'a gateway address that is none',
      bundleOf([domainPolicy('a.example', { gateway: gatewayPolicy({ addresses: ['10.1'] }) })]),
      'domain a.example: gateway: "10.1" is no canonical address or CIDR',
    ],
    [
      'a junk pattern that RE2 does not take',
      bundleOf([domainPolicy('a.example', { gateway: gatewayPolicy({ junkPatterns: ['(?=a)'] }) })]),
      'domain a.example: gateway: junk pattern "(?=a)": RE2 does not take it',
    ],
  ])('%s is named, and nothing is loaded', async (_what, bundle, message) => {
    await expect(loadPolicy(bundle)).rejects.toThrow(message);
  });

  test('__proto__ and constructor are names like any other', async () => {
    const bundle = bundleOf(
      [
        domainPolicy('__proto__', { access: { allow: [], block: ['__proto__'] } }),
        domainPolicy('constructor'),
      ],
      [list('__proto__', ['192.0.2.1'])],
    );
    const policy = await loadPolicy(bundle);
    expect(judgeRcpt(policy, rcpt({ recipient: 'user@__proto__' })).verdict).toBe('reject');
    expect(judgeRcpt(policy, rcpt({ recipient: 'user@constructor' })).verdict).toBe('accept');
    expect(judgeRcpt(policy, rcpt({ recipient: 'user@tostring' }))).toMatchObject({
      reply: { enhanced: '5.7.1' },
    });
  });
});
