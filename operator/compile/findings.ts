import { limits, type PosternObject } from '../api/index.ts';
import type { AccessList } from './access-lists.ts';
import { countShadowed } from './access-lists.ts';
import type { ConditionInput } from './conditions.ts';
import { slicesOfKey } from './dkim-signing.ts';
import { domainFields } from './domain-refs.ts';
import type { Domains } from './domains.ts';
import type { Gateway } from './gateway.ts';
import { domainConditions, domainStatusFields, type Surroundings } from './mail-domain-status.ts';
import type { Snapshot } from './model.ts';
import type { Slice } from './programmed.ts';
import { untrustedMessage } from './range-guard.ts';
import { type References, resolvedRefs } from './references.ts';
import { routeConditions, routeStatusFields, type Use } from './route-status.ts';
import type { CompiledRoute } from './routes.ts';
import { routeProblems } from './routing.ts';
import type { Findings, Slices } from './status.ts';
import { effectiveOf, type Tls, tlsOf } from './tls.ts';
import { addressesReplaced, broadRange, gatewayWarnings, meetings } from './warnings.ts';

/** The whole namespace, compiled: what every status is made from. */
export interface Compiled extends Surroundings {
  readonly domains: Domains;
  readonly references: References;
  readonly routes: readonly CompiledRoute[];
  readonly uses: ReadonlyMap<string, readonly Use[]>;
  readonly slices: Slices;
}

/** What there is to say about each object, by kind. Objects that are not compiled get nothing. */
export function findingsBy(compiled: Compiled): (object: PosternObject) => Findings | undefined {
  const lists = byName(compiled.lists);
  const gateways = byName(compiled.gateways);
  const tls = byName(compiled.tls);
  const routes = byName(compiled.routes);
  const met = meetings(compiled.lists, compiled.gateways);
  const joined = { enforced: joinedTls(compiled, false), audited: joinedTls(compiled, true) };
  return (object) => {
    const { name } = object.metadata;
    switch (object.kind) {
      case 'MailDomain':
        return ofMailDomain(object, compiled);
      case 'Route':
        return mapped(routes.get(name), (route) => ofRoute(route, compiled));
      case 'IpAccessList':
        return mapped(lists.get(name), (list) => ({
          ...ofDomainPolicy(list, compiled),
          untrusted: untrustedMessage(list.untrusted),
          others: [
            ...broadRange(list),
            ...addressesReplaced(list.domains, compiled),
            ...gatewayWarnings(
              met.filter((meeting) => meeting.list === list),
              'list',
            ),
          ],
          fields: accessListFields(list, compiled),
        }));
      case 'InboundGateway':
        return mapped(gateways.get(name), (gateway) => ({
          ...ofDomainPolicy(gateway, compiled),
          untrusted: untrustedMessage(gateway.untrusted),
          others: [
            ...gatewayWarnings(
              met.filter((meeting) => meeting.gateway === gateway),
              'gateway',
            ),
            ...addressesReplaced(gateway.domains, compiled),
          ],
          fields: {
            ...domainFields(gateway.verdicts, limits.domainRefs),
            addressCount: gateway.object.spec.addresses.length,
          },
        }));
      case 'TlsPolicy':
        return mapped(tls.get(name), (policy) => ({
          ...ofDomainPolicy(policy, compiled),
          others: [],
          fields: {
            ...domainFields(policy.verdicts, limits.domainRefs),
            directionSummary: policy.object.spec.directions.toSorted().join(','),
            peerCount: policy.object.spec.peerDomains.length,
            effective: effectiveOf(
              policy,
              policy.object.spec.enforcement === 'Audit' ? joined.audited : joined.enforced,
            ),
          },
        }));
      case 'DkimKey':
        return mapped(compiled.dkim.results.get(name), (result) => ofDkimKey(name, result, compiled));
    }
  };
}

function ofMailDomain(object: Extract<PosternObject, { kind: 'MailDomain' }>, compiled: Compiled): Findings {
  const { name } = object.metadata;
  const slice = compiled.domainSlices.get(name);
  const own = compiled.slices.domains.get(name);
  const accepted = compiled.domains.accepted.get(name);
  const problems = [
    ...routeProblems(object, compiled.references),
    ...(slice?.recipients.problems ?? []),
    ...(slice?.submission.problems ?? []),
  ];
  const mta = compiled.slices.tooLarge.get(`MailDomain/${name}`);
  return {
    counting: [...(accepted === undefined ? [] : [accepted]), resolvedRefs(problems)],
    slices: own === undefined ? [] : [own],
    tooLarge: mta === undefined ? undefined : tooLargeMessage(`MailDomain ${name}`, mta),
    others: [...domainConditions(object, slice, compiled), ...addressesReplaced(new Set([name]), compiled)],
    fields: domainStatusFields(object, own?.hash, compiled),
  };
}

function ofRoute(route: CompiledRoute, compiled: Compiled): Findings {
  const { name } = route.object.metadata;
  const uses = compiled.uses.get(name) ?? [];
  const mta = compiled.slices.tooLarge.get(`Route/${name}`);
  return {
    counting: [route.accepted, route.resolvedRefs],
    slices: compiled.slices.routes.get(name) ?? [],
    tooLarge: mta === undefined ? undefined : tooLargeMessage(`Route ${name}`, mta),
    others: routeConditions(route.object, uses, compiled.snapshot),
    fields: routeStatusFields(uses),
  };
}

function ofDkimKey(
  name: string,
  {
    conditions,
    fields,
  }: { readonly conditions: readonly ConditionInput[]; readonly fields: Findings['fields'] },
  compiled: Compiled,
): Findings {
  const counts = ['Accepted', 'ResolvedRefs', 'KeyGenerated'];
  return {
    counting: counts.flatMap((type) => conditions.find((one) => one.type === type) ?? []),
    slices: slicesOfKey(name, compiled),
    others: conditions.filter(({ type }) => !counts.includes(type)),
    fields,
  };
}

/** What IpAccessList, InboundGateway and TlsPolicy have in common: they act on the domains that take them. */
function ofDomainPolicy(
  policy: Pick<AccessList | Gateway | Tls, 'accepted' | 'resolvedRefs' | 'domains'>,
  { slices }: Compiled,
): Pick<Findings, 'counting' | 'slices' | 'tooLarge'> {
  const out = [...policy.domains].sort().find((name) => slices.tooLarge.has(`MailDomain/${name}`));
  return {
    counting: [policy.accepted, policy.resolvedRefs],
    slices: [...policy.domains].flatMap((name): Slice[] => {
      const slice = slices.domains.get(name);
      return slice === undefined ? [] : [slice];
    }),
    tooLarge:
      out === undefined
        ? undefined
        : tooLargeMessage(`MailDomain ${out}`, slices.tooLarge.get(`MailDomain/${out}`) ?? ''),
  };
}

function accessListFields(list: AccessList, { lists, snapshot }: Compiled): Findings['fields'] {
  const { entries, verdicts } = list;
  const neverHitCount = neverHit(list, snapshot);
  return {
    ...domainFields(verdicts, limits.domainRefs),
    entryCount: entries.entryCount,
    effectiveCount: entries.effectiveCount,
    duplicateCount: entries.duplicateCount,
    shadowedCount: countShadowed(list, lists),
    invalid: [...entries.invalid],
    sourceHash: entries.sourceHash,
    ...(neverHitCount === undefined ? {} : { neverHitCount }),
  };
}

/**
 * Entries that no mail has met, as far as the pods remember: each forgets when it ends, so what was known of the same entries
 * stays. An entry that only one of several pods has met may be counted although another one was met elsewhere.
 */
function neverHit({ object, entries }: AccessList, { observed }: Snapshot): number | undefined {
  const hits = observed.pods.flatMap(({ state }) =>
    state.ok && state.value.entriesHit !== undefined
      ? (state.value.entriesHit[object.metadata.name] ?? 0)
      : [],
  );
  const known = object.status?.sourceHash === entries.sourceHash ? object.status.neverHitCount : undefined;
  if (hits.length === 0) return known;
  const now = Math.max(0, entries.list.ranges.length - Math.max(...hits));
  return known === undefined ? now : Math.min(known, now);
}

function joinedTls({ tls, domainSlices }: Compiled, audit: boolean) {
  return new Map(
    [...domainSlices].map(([name, { hosted }]) => [
      name,
      { domain: hosted.domain, ...tlsOf(tls, name, audit) },
    ]),
  );
}

function tooLargeMessage(what: string, mta: string): string {
  return `${what} does not fit into the policy of MTA ${mta}, which older ones fill`;
}

function byName<T extends { readonly object: PosternObject }>(items: readonly T[]): ReadonlyMap<string, T> {
  return new Map(items.map((item) => [item.object.metadata.name, item]));
}

function mapped<T, R>(value: T | undefined, change: (value: T) => R): R | undefined {
  return value === undefined ? undefined : change(value);
}
