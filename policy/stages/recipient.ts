import { planDelivery } from '../delivery.ts';
import type { Finding, RcptScope, Stage } from '../stage.ts';
import type { RcptFacts } from '../types.ts';

/** Unknown recipients that a connection may ask for before it is cut (I15). */
const unknownLimit = 10;

/** Known, routed or unknown. It stands behind all that can refuse without a look-up. */
export const recipient: Stage<RcptFacts, RcptScope> = {
  name: 'recipient',
  ids: ['I4', 'I5', 'I6', 'I7', 'I8', 'I9', 'I11', 'I12', 'I13', 'I15'],
  about: 'The recipient is known to its domain, or a rule routes unknown ones.',
  judge(facts, scope): Finding {
    const { account, lookups } = facts;
    const { policy, sender } = scope;
    const delivery = planDelivery(policy, scope, { account, sender, from: 'unseen', lookups });
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
