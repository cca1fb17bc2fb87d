import type { DomainPolicy, InboundRule } from '../bundle/domain-policy.ts';
import type { Leg } from '../bundle/leg.ts';
import type { Mailbox } from './mailbox.ts';
import { formatMailbox } from './mailbox.ts';

/** The leg into the domain's own mailbox. */
export function mailboxLeg({ domain, source, mailbox }: DomainPolicy, recipient: Mailbox): Leg {
  return {
    domain,
    recipient: formatMailbox(recipient),
    hop: mailbox.kind === 'Route' ? { kind: 'Route', route: mailbox.route } : { kind: 'Maildir' },
    purpose: 'Mailbox',
    onFailure: 'Dsn',
    because: source,
  };
}

/**
 * The legs of a rule of inboundRouting: to its Route, and to the mailbox too if the rule says so and there is one (I6, I7).
 * They are independent of each other.
 */
export function routedLegs(policy: DomainPolicy, rule: InboundRule, recipient: Mailbox): Leg[] {
  const routed: Leg = {
    domain: policy.domain,
    recipient: formatMailbox(recipient),
    hop: { kind: 'Route', route: rule.route },
    purpose: 'Routed',
    onFailure: rule.ndr === 'Never' ? 'Ledger' : 'Dsn',
    because: policy.source,
  };
  return isSavedLocally(rule) ? [routed, mailboxLeg(policy, recipient)] : [routed];
}

/** The leg of Internal mail to the gateway of its domain, from where it comes back (D8). */
export function gatewayLeg({ domain, source }: DomainPolicy, route: string, recipient: Mailbox): Leg {
  return {
    domain,
    recipient: formatMailbox(recipient),
    hop: { kind: 'Route', route },
    purpose: 'Gateway',
    onFailure: 'Dsn',
    because: source,
  };
}

/** Does a rule also deliver to the mailbox? */
export function isSavedLocally({ target, alsoDeliverLocally }: InboundRule): boolean {
  return alsoDeliverLocally && target === 'Known';
}

/** Mail of a hosted domain to somebody elsewhere. */
export function outboundLeg({ domain, source }: DomainPolicy, recipient: Mailbox): Leg {
  return {
    domain,
    recipient: formatMailbox(recipient),
    hop: { kind: 'Mx' },
    purpose: 'Outbound',
    onFailure: 'Dsn',
    because: source,
  };
}
