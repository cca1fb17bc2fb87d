import type { Leg } from '../bundle/leg.ts';
import { fields, routingField } from './field.ts';
import type { HopFacts } from './hop.ts';
import { visitOf } from './hop.ts';
import type { InternalFacts } from './internal.ts';
import { isInternal } from './internal.ts';
import { gatewayLeg, isSavedLocally, mailboxLeg, outboundLeg, routedLegs } from './legs.ts';
import type { Mailbox, Path } from './mailbox.ts';
import { canonicalDomain, formatMailbox, parseMailbox } from './mailbox.ts';
import type { Domain, Policy } from './policy.ts';
import type { Knowledge } from './recipient.ts';
import { ask, isRole, knowledgeOf } from './recipient.ts';
import type { Finding } from './stage.ts';
import { byObject, byRule } from './stage.ts';
import type { Because, LookupAnswer } from './types.ts';

/** Where the mail of one recipient goes, or why nowhere. */
export type Delivery =
  | { readonly legs: readonly Leg[]; readonly detail: string; readonly because: Because }
  | Exclude<Finding, { outcome: 'note' | 'skip' }>;

/** What the decision needs beside the recipient. */
export interface DeliveryFacts extends InternalFacts {
  readonly lookups: ReadonlyMap<string, LookupAnswer>;
  /** Absent before the header is seen. */
  readonly hops?: HopFacts;
}

/** A recipient and the domain that hosts it, if one does. */
export interface HostedRecipient {
  readonly recipient: Path;
  readonly domain?: Domain;
}

/**
 * Decides where the mail of one recipient goes. It is asked at RCPT and again at end of DATA, when the From header can turn
 * Internal into External.
 */
export function planDelivery(
  policy: Policy,
  { recipient, domain }: HostedRecipient,
  facts: DeliveryFacts,
): Delivery {
  if (recipient.kind !== 'mailbox' || domain === undefined) return gone;
  const inbound = planInbound(policy, domain, recipient.mailbox, facts);
  return 'outcome' in inbound ? inbound : viaGateway(domain, recipient.mailbox, facts, inbound);
}

/**
 * Internal mail of a domain that sends it through its gateway goes there instead, once, and the rules of inboundRouting have
 * their turn when it comes back (D8, O8).
 */
function viaGateway(domain: Domain, recipient: Mailbox, facts: DeliveryFacts, inbound: Delivery): Delivery {
  const gateway = domain.gateway?.policy;
  if (!gateway?.internalMailViaGateway || gateway.route === undefined || facts.returned) return inbound;
  if (!isInternal(facts, canonicalDomain(domain.policy.domain))) return inbound;
  const leg = gatewayLeg(domain.policy, gateway.route, recipient);
  const visit = visitOf(leg, facts.hops);
  if (visit === 'loop') return loop(gateway.route);
  const because = byObject(gateway.source, fields.internalMailViaGateway);
  return visit === 'returned' ? inbound : { legs: [leg], detail: `Internal, to ${gateway.route}`, because };
}

/** Known to the domain, unknown but routed, or unknown. */
function planInbound(policy: Policy, domain: Domain, recipient: Mailbox, facts: DeliveryFacts): Delivery {
  const own = byObject(domain.policy.source, fields.recipients);
  const knowledge = knowledgeOf(domain, recipient, facts.lookups);
  if (knowledge !== 'known' && knowledge !== 'unknown') return undecided(knowledge, own);
  if (knowledge === 'unknown' && isRole(recipient) && domain.policy.postmaster !== undefined) {
    return planPostmaster(policy, domain, domain.policy.postmaster, facts);
  }
  const match = isInternal(facts, canonicalDomain(domain.policy.domain)) ? 'Internal' : 'External';
  const target = knowledge === 'known' ? 'Known' : 'Unknown';
  const rule = domain.policy.inboundRouting.find((one) => one.match === match && one.target === target);
  if (rule === undefined) {
    if (knowledge === 'unknown') return unknown(own, 'not among the recipients of the domain');
    return toMailbox(mailboxLeg(domain.policy, recipient), own, facts);
  }
  const because = byObject(domain.policy.source, routingField(match, target));
  if (rule.verifyRecipient === 'Probe' && !isSavedLocally(rule)) {
    const answer = ask(rule.route, formatMailbox(recipient), facts.lookups);
    if (answer === 'unknown') return unknown(because, `Route ${rule.route} refuses the recipient`);
    if (answer !== 'known') return undecided(answer, because);
  }
  const [routed, ...saved] = routedLegs(domain.policy, rule, recipient);
  const visit = routed === undefined ? 'never' : visitOf(routed, facts.hops);
  // Whoever may hand mail back has done what the Route was to do: what is left is the mailbox, if there is one.
  if (visit === 'returned' && knowledge === 'known')
    return toMailbox(mailboxLeg(domain.policy, recipient), because, facts);
  if (visit !== 'never' || saved.some((leg) => visitOf(leg, facts.hops) !== 'never')) return loop(rule.route);
  const legs = routed === undefined ? saved : [routed, ...saved];
  return { legs, detail: `${target.toLowerCase()}, routed to ${rule.route}`, because };
}

function toMailbox(leg: Leg, because: Because, { hops }: DeliveryFacts): Delivery {
  const route = leg.hop.kind === 'Route' ? leg.hop.route : '';
  return visitOf(leg, hops) === 'never' ? { legs: [leg], detail: 'known', because } : loop(route);
}

function loop(route: string): Delivery {
  const detail = `the mail of this recipient has been at Route ${route} already`;
  return { outcome: 'reject', reply: 'loop', because: byRule('loop', 'loop'), detail };
}

/** A hosted domain has left the policy between two commands: the client shall come again and hear so. */
const gone: Delivery = {
  outcome: 'reject',
  reply: 'routeGone',
  because: byRule('delivery', 'routeGone'),
  detail: 'the domain is not hosted any more',
};

/** I11: postmaster@ and abuse@ go to the address that the domain names, here or elsewhere. */
function planPostmaster(policy: Policy, domain: Domain, postmaster: string, facts: DeliveryFacts): Delivery {
  const because = byObject(domain.policy.source, fields.postmaster);
  const address = parseMailbox(postmaster);
  if (address === undefined) return unknown(because, 'the address in spec.postmaster cannot be read');
  const host = policy.domains.get(address.domain);
  const leg = host === undefined ? outboundLeg(domain.policy, address) : mailboxLeg(host.policy, address);
  if (visitOf(leg, facts.hops) !== 'never') return toMailbox(leg, because, facts);
  return { legs: [{ ...leg, purpose: 'Mailbox' }], detail: 'to the postmaster', because };
}

function unknown(because: Because, detail: string): Delivery {
  return { outcome: 'reject', reply: 'unknownRecipient', because, detail };
}

function undecided(knowledge: Exclude<Knowledge, 'known' | 'unknown'>, because: Because): Delivery {
  if (typeof knowledge === 'object') return { outcome: 'need', lookup: knowledge.lookup };
  return {
    outcome: 'reject',
    reply: 'recipientsUnavailable',
    because,
    detail: 'nobody can say now whether this recipient exists',
  };
}
