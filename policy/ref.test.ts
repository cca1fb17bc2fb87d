import { describe, expect, test } from 'vitest';
import type { PolicyBundle } from '../bundle/policy-bundle.ts';
import { bundleOf, data, domainPolicy, gatewayPolicy, list, rcpt, tlsPeers } from './fixture.ts';
import { judgeConnect, judgeData, judgeMail, judgeRcpt } from './judge.ts';
import { loadPolicy } from './load.ts';
import { refOf, resolveRef } from './ref.ts';
import { replyLine } from './reply.ts';
import type { Because, Verdict } from './types.ts';

const bundle = bundleOf(
  [
    domainPolicy('example.com', { access: { allow: [], block: ['bad'] }, tls: tlsPeers('partner.example') }),
    domainPolicy('gate.example', { gateway: gatewayPolicy() }),
  ],
  [list('bad', ['192.0.2.0/24', '2001:db8::1'])],
);
const policy = await loadPolicy(bundle);
const account = { name: 'user@example.com', domain: 'example.com', kind: 'User', sendAs: [] } as const;
const peer = '203.0.113.1';

describe('B7: every refusal can be resolved from the bundle alone', () => {
  test.each<[string, Verdict]>([
    ['blocked', judgeRcpt(policy, rcpt())],
    ['blocked IPv6', judgeRcpt(policy, rcpt({ peer: '2001:db8::1' }))],
    ['relaying', judgeRcpt(policy, rcpt({ recipient: 'x@y.example' }))],
    ['address form', judgeRcpt(policy, rcpt({ recipient: 'x%y@example.com' }))],
    ['TLS', judgeRcpt(policy, rcpt({ envelopeFrom: 'a@partner.example' }))],
    ['gateway', judgeRcpt(policy, rcpt({ recipient: 'user@gate.example' }))],
    ['unknown', judgeRcpt(policy, rcpt({ recipient: 'nobody@example.com', peer }))],
    [
      'too many unknown',
      judgeRcpt(policy, rcpt({ recipient: 'nobody@example.com', peer, unknownSoFar: 10 })),
    ],
    ['other settings', judgeRcpt(policy, rcpt({ peer, firstMessageKey: 'x' }))],
    ['sender', judgeMail(policy, rcpt({ account, envelopeFrom: 'x@y.example' }))],
    ['sender form', judgeMail(policy, rcpt({ envelopeFrom: 'ü@y.example' }))],
    ['size', judgeData(policy, data({ size: 1e9 }))],
    ['From', judgeData(policy, data({ headers: [] }))],
    ['gone', judgeData(policy, data({ recipients: ['x@gone.example'] }))],
    ['draining', judgeConnect(policy, rcpt(), true)],
    ['no policy', judgeConnect(undefined, rcpt(), false)],
  ])('%s', (_what, verdict) => {
    if (verdict.verdict !== 'reject' && verdict.verdict !== 'defer') throw new Error(verdict.verdict);
    expect(verdict.ref).toMatch(/^[0-9A-HJKMNP-TV-Z]{8}$/);
    expect(replyLine(verdict)).toMatch(/^[45]\d\d [45]\.\d+\.\d+ [ -~]+ \(ref [0-9A-Z]{8}\)$/);
    expect(resolveRef(bundle, verdict.ref)).toContainEqual({
      because: verdict.because,
      currentGeneration: verdict.because.generation,
    });
  });

  test('an earlier generation is found, and the current one told', () => {
    const because: Because = { kind: 'IpAccessList', name: 'bad', generation: 2, entry: '192.0.2.0/24' };
    const later = withGeneration(bundle, 7);
    expect(resolveRef(later, refOf(because))).toEqual([{ because, currentGeneration: 7 }]);
  });

  test('an entry that is gone still leads to its object', () => {
    const because: Because = { kind: 'IpAccessList', name: 'bad', generation: 2, entry: '10.0.0.1' };
    expect(resolveRef(bundle, refOf(because))).toEqual([
      { because: { ...because, entry: '' }, currentGeneration: 2 },
    ]);
  });

  test('an object that meets the digest by chance gives way to the one that has the entry', () => {
    const because: Because = { kind: 'IpAccessList', name: 'bad', generation: 2, entry: '192.0.2.0/24' };
    const ref = refOf(because);
    const twin = twinOf(ref.slice(0, 4));
    const both = {
      ...bundle,
      domains: [...bundle.domains, { ...domainPolicy('twin.example'), source: twin }],
    };
    expect(resolveRef(both, ref)).toEqual([{ because, currentGeneration: 2 }]);
    expect(resolveRef({ ...both, lists: [] }, ref)).toEqual([
      { because: { ...twin, entry: '' }, currentGeneration: twin.generation },
    ]);
  });

  test('a reference may be read out: lower case, o for 0, i and l for 1', () => {
    const ref = refOf({ kind: 'IpAccessList', name: 'bad', generation: 2, entry: '192.0.2.0/24' });
    const spoken = ref.toLowerCase().replaceAll('0', 'o').replaceAll('1', 'l');
    expect(resolveRef(bundle, spoken)).toEqual(resolveRef(bundle, ref));
    expect(resolveRef(bundle, spoken)).not.toEqual([]);
  });

  test.each(['', '1234567', '123456789', 'UUUUUUUU', '__proto__', '00000000'])('%j is nothing', (ref) => {
    expect(resolveRef(bundle, ref)).toEqual([]);
  });

  test('other kind, name, generation or entry: another reference', () => {
    const because: Because = { kind: 'MailDomain', name: 'a', generation: 1, entry: 'spec' };
    const others: Because[] = [
      { ...because, kind: 'Route' },
      { ...because, name: 'b' },
      { ...because, generation: 2 },
      { ...because, entry: 'spec.recipients' },
    ];
    expect(new Set([because, ...others].map(refOf)).size).toBe(5);
  });
});

function withGeneration(from: PolicyBundle, generation: number): PolicyBundle {
  return { ...from, lists: from.lists.map((one) => ({ ...one, source: { ...one.source, generation } })) };
}

/** A MailDomain whose object digest is the given one at some generation. */
function twinOf(digest: string): { kind: 'MailDomain'; name: string; generation: number } {
  for (let i = 0; i < 5_000_000; i++) {
    const twin = { kind: 'MailDomain' as const, name: `twin-${i}`, generation: 1 };
    if (refOf({ ...twin, entry: '' }).startsWith(digest)) return twin;
  }
  throw new Error(`no name has the digest ${digest}`);
}
