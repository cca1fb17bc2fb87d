import type { DomainPolicy, InboundRule, OutboundRule } from '../bundle/domain-policy.ts';
import type { Leg } from '../bundle/leg.ts';
import type { Mailbox, Path } from './mailbox.ts';
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
 * They are independent of each other. With `ndr: Auto` the sender hears of a failure once for each recipient: where there is a
 * leg to the mailbox it is that one that reports, and if it succeeds there is nothing to report (I8).
 */
export function routedLegs(policy: DomainPolicy, rule: InboundRule, recipient: Mailbox): Leg[] {
  const routed: Leg = {
    domain: policy.domain,
    recipient: formatMailbox(recipient),
    hop: { kind: 'Route', route: rule.route },
    purpose: 'Routed',
    onFailure: rule.ndr === 'Always' || (rule.ndr === 'Auto' && !isSavedLocally(rule)) ? 'Dsn' : 'Ledger',
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

/** Mail of a hosted domain to somebody elsewhere; with a Route, to that in place of wherever it would have gone (O1). */
export function outboundLeg({ domain, source }: DomainPolicy, recipient: Mailbox, route?: string): Leg {
  return {
    domain,
    recipient: formatMailbox(recipient),
    hop: route === undefined ? { kind: 'Mx' } : { kind: 'Route', route },
    purpose: 'Outbound',
    onFailure: 'Dsn',
    because: source,
  };
}

/**
 * The copy of `sendCopyTo` (O2). Its recipient is the sender, so all recipients of a message make the same leg, of which one
 * is kept. A failure tells nobody, and a message without a sender has no copy.
 * @param recipientDomain canonical name of the recipient that the copy is made for: its TLS is the copy's too (T14).
 */
export function copyLegs(
  { domain, source }: DomainPolicy,
  sender: Path,
  { sendCopyTo }: OutboundRule,
  recipientDomain: string,
): Leg[] {
  if (sendCopyTo === undefined || sender.kind !== 'mailbox') return [];
  return [
    {
      domain,
      recipient: formatMailbox(sender.mailbox),
      hop: { kind: 'Route', route: sendCopyTo },
      purpose: 'Copy',
      onFailure: 'Ledger',
      tlsOf: [{ domain, direction: 'Outbound', peer: recipientDomain }],
      because: source,
    },
  ];
}
