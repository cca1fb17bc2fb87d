import * as z from 'zod';
import { canonicalJson } from './canonical.ts';
import { type DomainPolicy, domainPolicy } from './domain-policy.ts';
import { cutIntoPieces, pieceId } from './pieces.ts';
import { account, type PolicyBundle, type SecretBundle } from './policy-bundle.ts';
import { type RangeList, rangeList } from './range-list.ts';
import { type RoutePolicy, routePolicy } from './route-policy.ts';

/** The smallest thing that is placed and cached as a whole: a domain, a piece of a list, a Route, a key. */
export interface Unit {
  /** `domain/example.com`, `list/office/010`: unique in its bundle, decides the shard. */
  readonly key: string;
  /** Canonical JSON of the value. */
  readonly text: string;
}

/** Recipients up to this number stay in the domain's own unit. */
const maxInlineRecipients = 256;
/** Accounts are larger than addresses (32 hashes of 1 KiB at most, which gzip cannot shrink): a piece must fit into a shard. */
const maxPieceAccounts = 16;

const domainUnit = z.strictObject({ policy: domainPolicy, recipientsInPieces: z.boolean() });
const listHead = rangeList.pick({ source: true }).strict();
const listPiece = rangeList.pick({ ranges: true, expires: true }).strict();
const recipientsPiece = z.strictObject({ localParts: z.array(z.string()) });
const accountsPiece = z.array(account);
const routeAuth = z.strictObject({ username: z.string(), password: z.string() });

interface UnitOf<Kind extends string, Value> {
  readonly kind: Kind;
  /** Domain, list key, Route name, or `<domain>/<selector>`. */
  readonly name: string;
  readonly key: string;
  readonly value: Value;
}

/** A unit of the public bundle, read back. */
export type PublicUnit =
  | UnitOf<'domain' | 'audited', z.infer<typeof domainUnit>>
  | UnitOf<'list', z.infer<typeof listHead>>
  | UnitOf<'listPiece', z.infer<typeof listPiece>>
  | UnitOf<'recipients', z.infer<typeof recipientsPiece>>
  | UnitOf<'route', RoutePolicy>;

export type ListPiece = z.infer<typeof listPiece>;

/** A unit of the secret bundle, read back. */
export type SecretUnit =
  | UnitOf<'auth', z.infer<typeof routeAuth>>
  | UnitOf<'accounts', z.infer<typeof accountsPiece>>
  | UnitOf<'dkim', string>
  | UnitOf<'hop', string>;

/** All units of a public bundle. `version`, `namespace` and `mta` stand in the index. */
export function publicUnits(bundle: Pick<PolicyBundle, 'domains' | 'audited' | 'lists' | 'routes'>): Unit[] {
  const enforced = new Map(bundle.domains.map((policy) => [policy.domain, policy]));
  return [
    ...bundle.domains.flatMap(domainUnits),
    ...bundle.audited.map((policy) => auditedUnit(policy, enforced.get(policy.domain))),
    ...bundle.lists.flatMap(listUnits),
    ...bundle.routes.map(routeUnit),
  ];
}

const unitsOfDomain = new WeakMap<DomainPolicy, readonly Unit[]>();

/**
 * The units of one hosted domain: itself, and its recipients in pieces if they are many. Remembered per policy object, which
 * therefore must not be changed afterwards; the same goes for lists.
 */
export function domainUnits(policy: DomainPolicy): readonly Unit[] {
  const known = unitsOfDomain.get(policy);
  if (known !== undefined) return known;
  const inline = policy.recipients.localParts.length <= maxInlineRecipients;
  const units = inline
    ? [unit(`domain/${policy.domain}`, { policy, recipientsInPieces: false })]
    : [
        unit(`domain/${policy.domain}`, { policy: withoutRecipients(policy), recipientsInPieces: true }),
        ...recipientUnits(policy.domain, policy.recipients.localParts),
      ];
  unitsOfDomain.set(policy, units);
  return units;
}

const unitsOfRecipients = new WeakMap<
  readonly string[],
  { readonly domain: string; readonly units: readonly Unit[] }
>();

/** Remembered per array: a domain is compiled anew much more often than its recipients change. */
function recipientUnits(domain: string, localParts: readonly string[]): readonly Unit[] {
  const known = unitsOfRecipients.get(localParts);
  if (known?.domain === domain) return known.units;
  const units = cutIntoPieces(localParts, (localPart) => localPart).map(({ id, entries }) =>
    unit(`recipients/${domain}/${id}`, { localParts: entries }),
  );
  unitsOfRecipients.set(localParts, { domain, units });
  return units;
}

/**
 * The unit of a domain as audited objects would make it.
 *
 * @param enforced the same domain as enforced: equal recipients are not carried twice
 */
export function auditedUnit(policy: DomainPolicy, enforced: DomainPolicy | undefined): Unit {
  const many = enforced !== undefined && enforced.recipients.localParts.length > maxInlineRecipients;
  const shared = many && sameTexts(policy.recipients.localParts, enforced.recipients.localParts);
  return unit(`audited/${policy.domain}`, {
    policy: shared ? withoutRecipients(policy) : policy,
    recipientsInPieces: shared,
  });
}

const unitsOfList = new WeakMap<RangeList, readonly Unit[]>();

/** The units of one list: its head (which object and generation it comes from) and its pieces. */
export function listUnits(list: RangeList): readonly Unit[] {
  const known = unitsOfList.get(list);
  if (known !== undefined) return known;
  const units = [
    unit(`list/${list.key}`, { source: list.source }),
    ...cutIntoPieces(list.ranges, (range) => range).map(({ id, entries }) =>
      unit(`list/${list.key}/${id}`, { ranges: entries, expires: expiriesOf(list, entries) }),
    ),
  ];
  unitsOfList.set(list, units);
  return units;
}

/** The list that a unit belongs to, and whether it is a piece of it or its head; undefined for units of other things. */
export function listPart(key: string): { readonly list: string; readonly isPiece: boolean } | undefined {
  const [kind, list = '', piece] = key.split('/');
  return kind === 'list' ? { list, isPiece: piece !== undefined } : undefined;
}

/** The unit of one Route. */
export function routeUnit(route: RoutePolicy): Unit {
  return unit(`route/${route.name}`, route);
}

/** All units of a secret bundle. */
export function secretUnits(
  secrets: Pick<SecretBundle, 'routeAuth' | 'accounts' | 'dkimKeys' | 'hopKey'>,
): Unit[] {
  return [
    ...Object.entries(secrets.routeAuth).map(([route, auth]) => unit(`auth/${route}`, auth)),
    ...Object.entries(secrets.accounts).flatMap(([domain, accounts]) => accountUnits(domain, accounts)),
    ...Object.entries(secrets.dkimKeys).map(([name, pem]) => unit(`dkim/${name}`, pem)),
    ...(secrets.hopKey === undefined ? [] : [unit('hop/key', secrets.hopKey)]),
  ];
}

/**
 * Reads a unit of a public shard.
 *
 * @param key the unit's key as it stands in the shard
 * @param value parsed JSON
 * @throws ZodError if the value is not what the key says, Error if the key is none of ours
 */
export function readPublicUnit(key: string, value: unknown): PublicUnit {
  const [kind, name = '', piece] = key.split('/');
  const whole = piece === undefined;
  if ((kind === 'domain' || kind === 'audited') && whole)
    return { kind, name, key, value: domainUnit.parse(value) };
  if (kind === 'route' && whole) return { kind, name, key, value: routePolicy.parse(value) };
  if (kind === 'list' && whole) return { kind, name, key, value: listHead.parse(value) };
  if (kind === 'list' && isPiece(piece))
    return { kind: 'listPiece', name, key, value: listPiece.parse(value) };
  if (kind === 'recipients' && isPiece(piece))
    return { kind, name, key, value: recipientsPiece.parse(value) };
  throw new Error('is a unit of no known kind');
}

/** Reads a unit of a secret shard; parameters and errors as `readPublicUnit`. Messages hold no values. */
export function readSecretUnit(key: string, value: unknown): SecretUnit {
  const [kind, name = '', rest] = key.split('/');
  if (kind === 'auth' && rest === undefined) return { kind, name, key, value: routeAuth.parse(value) };
  if (kind === 'accounts' && isPiece(rest)) return { kind, name, key, value: accountsPiece.parse(value) };
  if (kind === 'dkim' && rest !== undefined) {
    return { kind, name: `${name}/${rest}`, key, value: z.string().parse(value) };
  }
  if (kind === 'hop' && rest === undefined) return { kind, name, key, value: z.string().parse(value) };
  throw new Error('is a unit of no known kind');
}

function accountUnits(domain: string, accounts: SecretBundle['accounts'][string]): Unit[] {
  // A domain whose Secret holds nobody still has its (empty) unit: "no accounts" is not "unknown".
  if (accounts.length === 0) return [unit(`accounts/${domain}/all`, [])];
  const pieces = cutIntoPieces(accounts, ({ name }) => name, maxPieceAccounts);
  return pieces.map(({ id, entries }) => unit(`accounts/${domain}/${id}`, entries));
}

function unit(key: string, value: unknown): Unit {
  return { key, text: canonicalJson(value) };
}

function isPiece(id: string | undefined): boolean {
  return id !== undefined && pieceId.test(id);
}

function withoutRecipients(policy: DomainPolicy): DomainPolicy {
  return { ...policy, recipients: { ...policy.recipients, localParts: [] } };
}

function expiriesOf(list: RangeList, ranges: readonly string[]): Record<string, number> {
  if (Object.keys(list.expires).length === 0) return {};
  const pairs = ranges.flatMap((range) => {
    const expires = Object.hasOwn(list.expires, range) ? list.expires[range] : undefined;
    return expires === undefined ? [] : [[range, expires] as const];
  });
  return Object.fromEntries(pairs);
}

function sameTexts(left: readonly string[], right: readonly string[]): boolean {
  return (
    left === right || (left.length === right.length && left.every((text, index) => text === right[index]))
  );
}
