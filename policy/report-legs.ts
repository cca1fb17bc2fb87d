import type { Leg } from '../bundle/leg.ts';
import { planDelivery } from './delivery.ts';
import { mailboxLeg, outboundLeg } from './legs.ts';
import { canonicalDomain, type Mailbox } from './mailbox.ts';
import type { Policy } from './policy.ts';

/**
 * Where the report about a failed leg goes (O9): a sender that is hosted here gets it like any mail from outside, for others
 * it leaves by the External outboundRouting of the domain whose leg failed. It is not copied, and nobody is told if it fails.
 * @returns none if its recipient does not exist here any more.
 */
export function reportLegs(policy: Policy, failed: Leg, sender: Mailbox): Leg[] {
  return legsTo(policy, failed, sender).map((leg) => ({ ...leg, onFailure: 'Ledger' }));
}

function legsTo(policy: Policy, failed: Leg, sender: Mailbox): readonly Leg[] {
  const domain = policy.domains.get(sender.domain);
  if (domain !== undefined) {
    const recipient = { kind: 'mailbox', mailbox: sender } as const;
    const facts = { sender: { kind: 'null' }, from: undefined, lookups: new Map() } as const;
    const plan = planDelivery(policy, { recipient, domain }, facts);
    if (!('outcome' in plan)) return plan.legs;
    // Only a Route can say whether the recipient exists: it will when it gets the mail.
    return plan.outcome === 'need' ? [mailboxLeg(domain.policy, sender)] : [];
  }
  const author = policy.domains.get(canonicalDomain(failed.domain))?.policy;
  if (author === undefined) return [];
  const rule = author.outboundRouting.find(({ match }) => match === 'External');
  return [outboundLeg(author, sender, rule?.changeRoute)];
}
