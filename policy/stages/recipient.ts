import type { Delivery } from '../delivery.ts';
import { planDelivery } from '../delivery.ts';
import { namesOnly } from '../hop.ts';
import type { Finding, Notes, RcptScope, Stage } from '../stage.ts';
import type { RcptFacts } from '../types.ts';

/** Unknown recipients that a connection may ask for before it is cut (I15). */
const unknownLimit = 10;

/** Known, routed or unknown. It stands behind all that can refuse without a look-up. */
export const recipient: Stage<RcptFacts, RcptScope> = {
  name: 'recipient',
  ids: ['I4', 'I5', 'I6', 'I7', 'I8', 'I9', 'I11', 'I12', 'I13', 'I15'],
  about: 'The recipient is known to its domain, or a rule routes unknown ones.',
  judge(facts, scope, notes): Finding {
    const delivery = planFor(facts, scope, notes);
    if (!('outcome' in delivery)) {
      const { legs, detail, because } = delivery;
      return { outcome: 'note', detail, because, notes: { legs: [legs] } };
    }
    const harvested = delivery.outcome === 'reject' && delivery.reply === 'unknownRecipient';
    return harvested && facts.unknownSoFar >= unknownLimit
      ? { ...delivery, reply: 'tooManyUnknown' }
      : delivery;
  },
};

/**
 * Mail that comes back from the gateway as Internal shows its mark in the header only: until then a recipient that only a rule
 * for Internal mail takes is not refused (D8).
 */
function planFor({ account, lookups }: RcptFacts, scope: RcptScope, { viaGateway }: Notes): Delivery {
  const { policy, sender, domain } = scope;
  const facts = { account, sender, from: 'unseen', lookups } as const;
  const delivery = planDelivery(policy, scope, facts);
  const refused = 'outcome' in delivery && delivery.outcome === 'reject';
  if (!refused || account !== undefined || !viaGateway) return delivery;
  if (!domain?.gateway?.policy.internalMailViaGateway || !namesOnly(domain.policy.domain, sender, []))
    return delivery;
  const returned = planDelivery(policy, scope, { ...facts, returned: true });
  return 'outcome' in returned && returned.outcome === 'reject' ? delivery : returned;
}
