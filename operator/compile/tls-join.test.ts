import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OutboundTls } from '../../bundle/domain-policy.ts';
import { joinInbound, joinOutbound, strictest } from './tls-join.ts';

const source = fc
  .constantFrom('a', 'b', 'c')
  .map((name) => ({ kind: 'TlsPolicy' as const, name, generation: 1 }));
const peers = ['bank.example', '*.bank.example', 'mx.bank.example', '*.mx.bank.example', 'other.example'];
const outbound: fc.Arbitrary<OutboundTls> = fc
  .record({
    peer: fc.constantFrom(...peers),
    requireTrustedCA: fc.boolean(),
    requireHostnameMatch: fc.boolean(),
    caBundles: fc.subarray(['System', 'Unavailable', 'pem']),
    onFailure: fc.constantFrom('Defer' as const, 'Bounce' as const),
    giveUpAfterSeconds: fc.integer({ min: 60, max: 432_000 }),
    from: source.map((one) => [one]),
  })
  .map((one) => ({ ...one, caBundles: one.caBundles.toSorted() }));
const samePeer = fc
  .tuple(outbound, outbound, outbound)
  .map((parts) => parts.map((one) => ({ ...one, peer: 'p.example' })));

/** Whether `strong` asks for all that `weak` asks. */
function atLeast(strong: OutboundTls, weak: OutboundTls): boolean {
  return (
    strong.requireTrustedCA >= weak.requireTrustedCA &&
    strong.requireHostnameMatch >= weak.requireHostnameMatch &&
    weak.caBundles.every((bundle) => strong.caBundles.includes(bundle)) &&
    (strong.onFailure === 'Bounce' || weak.onFailure === 'Defer') &&
    strong.giveUpAfterSeconds <= weak.giveUpAfterSeconds &&
    weak.from.every(({ name }) => strong.from.some((one) => one.name === name))
  );
}

describe('T8: the join of TLS requirements', () => {
  test('T8: is commutative, associative and idempotent', () => {
    fc.assert(
      fc.property(samePeer, ([a, b, c]) => {
        if (a === undefined || b === undefined || c === undefined) return;
        expect(strictest(a, b)).toEqual(strictest(b, a));
        expect(strictest(strictest(a, b), c)).toEqual(strictest(a, strictest(b, c)));
        expect(strictest(a, a)).toEqual(a);
      }),
    );
  });

  test('T8: is monotone: no policy is ever weakened by another one', () => {
    fc.assert(
      fc.property(fc.array(outbound, { maxLength: 8 }), outbound, (parts, added) => {
        const before = joinOutbound(parts);
        const after = joinOutbound([...parts, added]);
        for (const weak of before) {
          const strong = after.find(({ peer }) => peer === weak.peer);
          expect(strong !== undefined && atLeast(strong, weak), JSON.stringify({ weak, strong })).toBe(true);
        }
        for (const part of [...parts, added]) {
          const own = after.find(({ peer }) => peer === part.peer);
          expect(own !== undefined && atLeast(own, part)).toBe(true);
        }
      }),
    );
  });

  test('T8: the order of policies does not show', () => {
    fc.assert(
      fc.property(fc.array(outbound, { maxLength: 8 }), (parts) => {
        expect(joinOutbound(parts.toReversed())).toEqual(joinOutbound(parts));
      }),
    );
  });

  test('T7 T8: a peer under a wildcard gets what the wildcard asks, not the other way round', () => {
    const from = (name: string) => [{ kind: 'TlsPolicy' as const, name, generation: 1 }];
    const joined = joinInbound([
      { peer: '*.bank.example', from: from('wide') },
      { peer: 'a.mx.bank.example', from: from('narrow') },
      { peer: 'bank.example', from: from('apex') },
    ]);
    expect(
      Object.fromEntries(joined.map(({ peer, from: all }) => [peer, all.map(({ name }) => name)])),
    ).toEqual({
      '*.bank.example': ['wide'],
      'a.mx.bank.example': ['narrow', 'wide'],
      'bank.example': ['apex'],
    });
  });
});
