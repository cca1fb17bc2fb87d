import type { InboundRule, OutboundRule } from '../bundle/domain-policy.ts';
import type { Leg } from '../bundle/leg.ts';
import { fields, outboundField, routingField } from './field.ts';
import type { HopFacts } from './hop.ts';
import { visitOf } from './hop.ts';
import type { InternalFacts } from './internal.ts';
import { isInternal } from './internal.ts';
import { copyLegs, gatewayLeg, isSavedLocally, mailboxLeg, outboundLeg, routedLegs } from './legs.ts';
import type { Mailbox, Path } from './mailbox.ts';
import { canonicalDomain, formatMailbox, parseMailbox } from './mailbox.ts';
import { outboundTlsOf } from './outbound-tls.ts';
import { findPeer } from './peer-table.ts';
import type { Domain, Policy } from './policy.ts';
import type { Knowledge } from './recipient.ts';
import { ask, isRole, knowledgeOf } from './recipient.ts';
import type { Finding } from './stage.ts';
import { byObject, byRule } from './stage.ts';
import type { AuthenticatedAccount, Because, LookupAnswer } from './types.ts';

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
  if (recipient.kind !== 'mailbox') return gone;
  const author = facts.account && policy.domains.get(canonicalDomain(facts.account.domain));
  const outbound = facts.account && author && outboundOf(author, facts.account, recipient.mailbox, facts);
  const plan =
    domain === undefined
      ? planOutbound(author, outbound, recipient.mailbox, facts)
      : planInbound(policy, domain, recipient.mailbox, facts, outbound);
  if ('outcome' in plan || author === undefined) return plan;
  const peer = recipient.mailbox.domain;
  const legs = plan.legs.map((leg) => inheriting(leg, author, peer));
  if (outbound === undefined) return { ...plan, legs };
  const copies = copyLegs(outbound.author.policy, facts.sender, outbound.rule, peer);
  return { ...plan, legs: [...legs, ...copies] };
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

/** Mail of one hosted domain to another leaves on behalf of the other: what its author's TlsPolicies ask for comes along (T13). */
function inheriting(leg: Leg, author: Domain, peer: string): Leg {
  const { domain, tls } = author.policy;
  if (leg.domain === domain || outboundTlsOf(tls.outbound, peer) === undefined) return leg;
  return { ...leg, tlsOf: [{ domain, direction: 'Outbound', peer }] };
}

/** The rule of outboundRouting that takes mail of an account, and the domain whose rule it is. */
interface Outbound {
  readonly author: Domain;
  readonly rule: OutboundRule;
}

/**
 * What an account sends is outbound mail of its domain, even if the recipient is hosted here (O8). Mail that comes back from
 * a Route of these rules has been through them already (O3).
 */
function outboundOf(
  author: Domain,
  account: AuthenticatedAccount,
  recipient: Mailbox,
  facts: DeliveryFacts,
): Outbound | undefined {
  const rules = author.policy.outboundRouting;
  const { fromRoute } = account;
  const cameBack = ({ changeRoute, sendCopyTo }: OutboundRule) =>
    changeRoute === fromRoute || sendCopyTo === fromRoute;
  if (fromRoute !== undefined && rules.some(cameBack)) return undefined;
  const match = isInternal(facts, recipient.domain) ? 'Internal' : 'External';
  const rule = rules.find((one) => one.match === match);
  return rule && { author, rule };
}

/** Known to the domain, unknown but routed, or unknown. A changed route comes before all rules for mail coming in. */
function planInbound(
  policy: Policy,
  domain: Domain,
  recipient: Mailbox,
  facts: DeliveryFacts,
  outbound: Outbound | undefined,
): Delivery {
  const own = byObject(domain.policy.source, fields.recipients);
  const knowledge = knowledgeOf(domain, recipient, facts.lookups);
  if (knowledge !== 'known' && knowledge !== 'unknown') return undecided(knowledge, own);
  if (knowledge === 'unknown' && isRole(recipient) && domain.policy.postmaster !== undefined) {
    return planPostmaster(policy, domain, domain.policy.postmaster, facts);
  }
  const rule = ruleFor(domain, knowledge, facts);
  if (rule === undefined && knowledge === 'unknown') {
    return unknown(own, 'not among the recipients of the domain');
  }
  const changed = changedRoute(outbound, recipient, facts);
  if (changed !== undefined) return changed;
  const plan =
    rule === undefined
      ? toMailbox(mailboxLeg(domain.policy, recipient), own, facts)
      : planRouted(domain, rule, recipient, facts);
  return 'outcome' in plan ? plan : viaGateway(domain, recipient, facts, plan);
}

function ruleFor(
  { policy }: Domain,
  knowledge: 'known' | 'unknown',
  facts: DeliveryFacts,
): InboundRule | undefined {
  const match = isInternal(facts, canonicalDomain(policy.domain)) ? 'Internal' : 'External';
  const target = knowledge === 'known' ? 'Known' : 'Unknown';
  return policy.inboundRouting.find((one) => one.match === match && one.target === target);
}

/** A rule of inboundRouting: the Route asks for the recipient first, and no Route sees a mail twice (G10). */
function planRouted(domain: Domain, rule: InboundRule, recipient: Mailbox, facts: DeliveryFacts): Delivery {
  const because = byObject(domain.policy.source, routingField(rule.match, rule.target));
  if (rule.verifyRecipient === 'Probe' && !isSavedLocally(rule)) {
    const answer = ask(rule.route, formatMailbox(recipient), facts.lookups);
    if (answer === 'unknown') return unknown(because, `Route ${rule.route} refuses the recipient`);
    if (answer !== 'known') return undecided(answer, because);
  }
  const [routed, ...saved] = routedLegs(domain.policy, rule, recipient);
  const visit = routed === undefined ? 'never' : visitOf(routed, facts.hops);
  // Whoever may hand mail back has done what the Route was to do: what is left is the mailbox, if there is one.
  if (visit === 'returned' && rule.target === 'Known')
    return toMailbox(mailboxLeg(domain.policy, recipient), because, facts);
  if (visit !== 'never' || saved.some((leg) => visitOf(leg, facts.hops) !== 'never')) return loop(rule.route);
  const legs = routed === undefined ? saved : [protectedLeg(routed, domain, facts), ...saved];
  return { legs, detail: `${rule.target.toLowerCase()}, routed to ${rule.route}`, because };
}

function toMailbox(leg: Leg, because: Because, { hops }: DeliveryFacts): Delivery {
  const route = leg.hop.kind === 'Route' ? leg.hop.route : '';
  return visitOf(leg, hops) === 'never' ? { legs: [leg], detail: 'known', because } : loop(route);
}

function loop(route: string): Delivery {
  const detail = `the mail of this recipient has been at Route ${route} already`;
  return { outcome: 'reject', reply: 'loop', because: byRule('loop', 'loop'), detail };
}

/** What had to come in over TLS is passed on over TLS (T14); the way to the domain's own mailbox is its own affair. */
function protectedLeg(
  leg: Leg,
  { policy: { domain }, tlsPeers }: Domain,
  { account, sender }: DeliveryFacts,
): Leg {
  if (leg.purpose !== 'Routed' || account !== undefined || sender.kind !== 'mailbox') return leg;
  const peer = sender.mailbox.domain;
  if (findPeer(tlsPeers, peer) === undefined) return leg;
  return { ...leg, tlsOf: [{ domain, direction: 'Inbound', peer }] };
}

/** Mail that an account sends to somebody who is not hosted here. */
function planOutbound(
  author: Domain | undefined,
  outbound: Outbound | undefined,
  recipient: Mailbox,
  facts: DeliveryFacts,
): Delivery {
  if (author === undefined) return gone;
  const because = byObject(author.policy.source, fields.submission);
  return (
    changedRoute(outbound, recipient, facts) ?? {
      legs: [outboundLeg(author.policy, recipient)],
      detail: 'to its MX',
      because,
    }
  );
}

/** O1, O8: the Route of a rule takes the place of every other next hop, but of mail that has been there (O3). */
function changedRoute(
  outbound: Outbound | undefined,
  recipient: Mailbox,
  { hops }: DeliveryFacts,
): Delivery | undefined {
  const route = outbound?.rule.changeRoute;
  if (outbound === undefined || route === undefined) return undefined;
  const { policy } = outbound.author;
  const leg = outboundLeg(policy, recipient, route);
  const visit = visitOf(leg, hops);
  if (visit !== 'never') return visit === 'loop' ? loop(route) : undefined;
  return {
    legs: [leg],
    detail: `outbound, routed to ${route}`,
    because: byObject(policy.source, outboundField(outbound.rule.match)),
  };
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
