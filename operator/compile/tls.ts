import type { InboundTls, OutboundTls } from '../../bundle/domain-policy.ts';
import { compareText } from '../../bundle/shards.ts';
import type { SourceRef } from '../../bundle/source.ts';
import { limits, type TlsPolicy } from '../api/index.ts';
import { type ConditionInput, condition } from './conditions.ts';
import { Shares } from './conflicts.ts';
import { acceptedFrom, type DomainVerdict, refuses, takes, targetsOf } from './domain-refs.ts';
import { type Domains, isValidName } from './domains.ts';
import { sourceOf } from './objects.ts';
import { type References, readCaBundle, resolvedRefs } from './references.ts';
import { joinInbound, joinOutbound } from './tls-join.ts';

/** One TlsPolicy with what the domains make of it. */
export interface Tls {
  readonly object: TlsPolicy;
  /** Names of the MailDomains it acts on (or would, in Audit). */
  readonly domains: ReadonlySet<string>;
  readonly inbound: readonly InboundTls[];
  readonly outbound: readonly OutboundTls[];
  readonly verdicts: readonly DomainVerdict[];
  readonly accepted: ConditionInput;
  readonly resolvedRefs: ConditionInput;
}

/**
 * Reads all TlsPolicies; each domain takes the oldest thirty (T2).
 *
 * @param objects oldest first
 */
export function compileTls(objects: readonly TlsPolicy[], domains: Domains, references: References): Tls[] {
  const shares = new Shares(limits.tlsPoliciesPerDomain);
  return objects.map((object) => {
    const targets = targetsOf(object.spec.domainRefs, domains);
    const judged = targets.hosted.map((hosted) => {
      if (shares.take(hosted.name, 1)) return takes(hosted);
      const message = `${hosted.domain} has ${limits.tlsPoliciesPerDomain} older TlsPolicies, and more do not act`;
      return refuses(hosted, 'LimitExceeded', message);
    });
    const verdicts = [...judged, ...targets.missing];
    const invalid = object.spec.peerDomains.filter((peer) => !isValidName(peer));
    const peers = object.spec.peerDomains.filter((peer) => isValidName(peer)).sort(compareText);
    const trust = trustOf(object, references);
    const { directions } = object.spec;
    return {
      object,
      domains: new Set(verdicts.filter(({ accepted }) => accepted).map(({ name }) => name)),
      inbound: directions.includes('Inbound')
        ? peers.map((peer) => ({ peer, from: [sourceOf(object)] }))
        : [],
      outbound: directions.includes('Outbound')
        ? peers.map((peer) => outboundOf(object, peer, trust.caBundles))
        : [],
      verdicts,
      accepted: invalidPeers(invalid) ?? acceptedFrom(verdicts),
      resolvedRefs: resolvedRefs([...targets.problems, ...trust.problems]),
    };
  });
}

/**
 * What all policies together ask of mail of a domain: the union of the requirements for each peer (T8).
 *
 * @param audit whether policies in Audit count too
 */
export function tlsOf(
  policies: readonly Tls[],
  mailDomain: string,
  audit: boolean,
): { inbound: InboundTls[]; outbound: OutboundTls[] } {
  const acting = policies.filter(
    ({ object, domains }) => domains.has(mailDomain) && (audit || object.spec.enforcement === 'Enforce'),
  );
  return {
    inbound: joinInbound(acting.flatMap(({ inbound }) => inbound)),
    outbound: joinOutbound(acting.flatMap(({ outbound }) => outbound)),
  };
}

/** `status.effective`: what all policies of a domain together ask of the peers of this one. */
export function effectiveOf(
  policy: Tls,
  tlsByDomain: ReadonlyMap<
    string,
    { readonly domain: string; readonly inbound: InboundTls[]; readonly outbound: OutboundTls[] }
  >,
) {
  const own = new Set(policy.object.spec.peerDomains);
  const inbound = new Set(policy.inbound.map(({ peer }) => peer));
  const outbound = new Set(policy.outbound.map(({ peer }) => peer));
  const rows = [...policy.domains].sort(compareText).flatMap((name) => {
    const tls = tlsByDomain.get(name);
    if (tls === undefined) return [];
    const base = { domain: tls.domain };
    return [
      ...tls.inbound
        .filter(({ peer }) => own.has(peer) && inbound.has(peer))
        .map(({ peer, from }) => ({
          ...base,
          peer,
          direction: 'Inbound' as const,
          requirements: ['TLS' as const],
          from: names(from),
        })),
      ...tls.outbound
        .filter(({ peer }) => own.has(peer) && outbound.has(peer))
        .map((one) => ({
          ...base,
          peer: one.peer,
          direction: 'Outbound' as const,
          requirements: requirementsOf(one),
          from: names(one.from),
        })),
    ];
  });
  return rows.slice(0, limits.effectiveTls);
}

function outboundOf(object: TlsPolicy, peer: string, caBundles: string[]): OutboundTls {
  const { requireTrustedCA, requireHostnameMatch, onFailure, giveUpAfterSeconds } = object.spec.outbound;
  return {
    peer,
    requireTrustedCA,
    requireHostnameMatch,
    caBundles,
    onFailure,
    giveUpAfterSeconds,
    from: [sourceOf(object)],
  };
}

/** A bundle that cannot be read trusts nobody: the system's CAs are not what was asked for. */
function trustOf(object: TlsPolicy, references: References) {
  const { requireTrustedCA, caBundleRef } = object.spec.outbound;
  if (!requireTrustedCA) return { caBundles: [], problems: [] };
  if (caBundleRef === undefined) return { caBundles: ['System'], problems: [] };
  const bundle = readCaBundle(caBundleRef, 'spec.outbound.caBundleRef', references);
  return bundle.ok
    ? { caBundles: [bundle.value], problems: [] }
    : { caBundles: ['Unavailable'], problems: [bundle.problem] };
}

function requirementsOf({
  requireTrustedCA,
  requireHostnameMatch,
}: OutboundTls): ('TLS' | 'TrustedCA' | 'HostnameMatch')[] {
  return [
    'TLS',
    ...(requireTrustedCA ? (['TrustedCA'] as const) : []),
    ...(requireHostnameMatch ? (['HostnameMatch'] as const) : []),
  ];
}

function names(from: readonly SourceRef[]): string[] {
  return from.map(({ name }) => name).slice(0, limits.effectiveTlsFrom);
}

function invalidPeers(invalid: readonly string[]): ConditionInput | undefined {
  if (invalid.length === 0) return undefined;
  const message = `spec.peerDomains: ${invalid.toSorted().join(', ')} has a label that is no valid punycode; the other peers act`;
  return condition('Accepted', 'False', 'Invalid', message);
}
