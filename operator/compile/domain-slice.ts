import { canonicalJson } from '../../bundle/canonical.ts';
import type { DkimSigner, DomainPolicy } from '../../bundle/domain-policy.ts';
import { compareText } from '../../bundle/shards.ts';
import type { InboundGateway } from '../api/index.ts';
import { type AccessList, listsOf } from './access-lists.ts';
import { contentFilterOf } from './content-filter.ts';
import type { Hosted } from './domains.ts';
import type { Gateway } from './gateway.ts';
import type { CompileOptions } from './model.ts';
import { sourceOf } from './objects.ts';
import type { Recipients } from './recipients.ts';
import { routingOf } from './routing.ts';
import type { Submission } from './submission.ts';
import { type Tls, tlsOf } from './tls.ts';

/** Everything that acts on domains, compiled, before it is cut by domain. */
export interface Acting {
  readonly lists: readonly AccessList[];
  readonly gateways: readonly Gateway[];
  readonly tls: readonly Tls[];
  readonly signers: ReadonlyMap<string, readonly DkimSigner[]>;
  readonly options: CompileOptions;
}

/** One domain in the bundle: as it is enforced, and as it would be with everything in Audit enforced, where that differs. */
export interface DomainSlice {
  readonly hosted: Hosted;
  readonly recipients: Recipients;
  readonly submission: Submission;
  readonly policy: DomainPolicy;
  readonly audited: DomainPolicy | undefined;
}

/** Puts one domain together. */
export function sliceOf(
  hosted: Hosted,
  recipients: Recipients,
  submission: Submission,
  acting: Acting,
): DomainSlice {
  const policy = policyOf(hosted, recipients, submission, acting, false);
  const audited = hasAudit(hosted, acting)
    ? policyOf(hosted, recipients, submission, acting, true)
    : undefined;
  const differs = audited !== undefined && canonicalJson(audited) !== canonicalJson(policy);
  return { hosted, recipients, submission, policy, audited: differs ? audited : undefined };
}

/** The gateway of a domain. @param audit whether one in Audit counts */
export function gatewayOf(
  gateways: readonly Gateway[],
  mailDomain: string,
  audit: boolean,
): Gateway | undefined {
  return gateways.find(({ object, domains }) => domains.has(mailDomain) && (audit || enforces(object)));
}

function policyOf(
  hosted: Hosted,
  recipients: Recipients,
  submission: Submission,
  acting: Acting,
  audit: boolean,
): DomainPolicy {
  const { object, name, domain } = hosted;
  const { spec } = object;
  const routing = routingOf(object);
  const gateway = gatewayOf(acting.gateways, name, audit);
  const keys = (action: 'Allow' | 'Block') =>
    listsOf(acting.lists, name, action, audit)
      .map(({ entries }) => entries.list.key)
      .sort(compareText);
  return {
    domain,
    source: sourceOf(object),
    ownership: spec.ownership,
    mailbox:
      spec.mailbox.routeRef === undefined
        ? { kind: 'Maildir' }
        : { kind: 'Route', route: spec.mailbox.routeRef.name },
    junk: spec.junk,
    recipients: recipients.policy,
    ...(spec.postmaster === undefined ? {} : { postmaster: spec.postmaster }),
    inboundRouting: routing.inbound,
    outboundRouting: routing.outbound,
    submission: {
      enabled: spec.submission.enabled,
      accounts: submission.accounts !== undefined,
      recipientsPerHour: spec.submission.limits.recipientsPerHour,
    },
    maxMessageBytes: spec.limits.maxMessageBytes,
    ...contentFilterOf(object, acting.options),
    authentication: {
      ...spec.authentication,
      trustedArcSealers: spec.authentication.trustedArcSealers.toSorted(compareText),
    },
    access: { allow: keys('Allow'), block: keys('Block') },
    ...(gateway === undefined ? {} : { gateway: gateway.policy }),
    tls: tlsOf(acting.tls, name, audit),
    dkim: [...(acting.signers.get(domain) ?? [])],
  };
}

function hasAudit({ name }: Hosted, { lists, gateways, tls }: Acting): boolean {
  return [...lists, ...gateways, ...tls].some(
    ({ object, domains }) => domains.has(name) && !enforces(object),
  );
}

function enforces(object: { readonly spec: Pick<InboundGateway['spec'], 'enforcement'> }): boolean {
  return object.spec.enforcement === 'Enforce';
}
