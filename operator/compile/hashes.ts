import { createHash } from 'node:crypto';
import { canonicalJson } from '../../bundle/canonical.ts';
import type { DomainPolicy } from '../../bundle/domain-policy.ts';
import type { RangeList } from '../../bundle/range-list.ts';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import { auditedUnit, domainUnits, listUnits, routeUnit, type Unit } from '../../bundle/units.ts';

/** SHA-256, 64 lower-case hex digits. */
export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** `policyHash`: one domain with everything that acts on it, the lists included. */
export function hashOfDomain(
  policy: DomainPolicy,
  audited: DomainPolicy | undefined,
  lists: ReadonlyMap<string, RangeList>,
): string {
  const keys = [policy, audited].flatMap((one) =>
    one === undefined ? [] : [...one.access.allow, ...one.access.block],
  );
  const named = [...new Set(keys)].sort().flatMap((key) => lists.get(key) ?? []);
  const units = [...domainUnits(policy), ...(audited === undefined ? [] : [auditedUnit(audited, policy)])];
  return sha256([...units.map(lineOf), ...named.map(hashOfList)].join('\n'));
}

/** Hash of a Route's slice. */
export function hashOfRoute(policy: RoutePolicy): string {
  return sha256(lineOf(routeUnit(policy)));
}

/**
 * What the public and the secret half of a bundle have in common, so that an MTA never mixes two versions. Made of names and
 * versions of Secrets: no byte of a Secret enters a public hash.
 */
export function secretsRevisionOf(revisions: Readonly<Record<string, string>>): string {
  return sha256(canonicalJson(revisions));
}

const hashes = new WeakMap<RangeList, string>();

function hashOfList(list: RangeList): string {
  const known = hashes.get(list) ?? sha256(listUnits(list).map(lineOf).join('\n'));
  hashes.set(list, known);
  return known;
}

function lineOf({ key, text }: Unit): string {
  return `${key} ${text}`;
}
