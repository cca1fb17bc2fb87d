import type { InheritedTls, Leg } from '../bundle/leg.ts';

/**
 * A message has one copy for each Route of `sendCopyTo`, whoever its recipients are (O2). It inherits the TLS that any of them
 * asks for (T14).
 * @param legs one list for each recipient.
 * @returns the same, every copy with the inheritance of all its twins.
 */
export function joinCopies(legs: readonly (readonly Leg[])[]): (readonly Leg[])[] {
  const inherited = new Map<string, Map<string, InheritedTls>>();
  for (const copy of legs.flat().filter(isCopy)) {
    const joined = inherited.get(keyOf(copy)) ?? new Map<string, InheritedTls>();
    for (const one of copy.tlsOf ?? []) joined.set(JSON.stringify(one), one);
    inherited.set(keyOf(copy), joined);
  }
  return legs.map((each) =>
    each.map((leg) =>
      isCopy(leg) ? { ...leg, tlsOf: [...(inherited.get(keyOf(leg))?.values() ?? [])] } : leg,
    ),
  );
}

function isCopy({ purpose }: Leg): boolean {
  return purpose === 'Copy';
}

function keyOf({ domain, hop, recipient }: Leg): string {
  return JSON.stringify([domain, hop, recipient]);
}
