import { planDelivery } from '../delivery.ts';
import { receivedBy } from '../headers.ts';
import { hopFactsOf } from '../hop.ts';
import type { DataScope, Finding, Stage } from '../stage.ts';
import { refuse } from '../stage.ts';
import type { DataFacts } from '../types.ts';

const name = 'loop';

/** Times that a message may have been here before. Other hops do not count: a long way is no loop. */
const visits = 5;

/** A forged line of ours can only get the forger's own message refused, and a mark cannot be forged. */
export const loop: Stage<DataFacts, DataScope> = {
  name,
  ids: ['G10'],
  about:
    'No recipient is routed to where the mail has been by our keyed mark, but for what its gateway or fromRoute account hands back; and the message has at most 5 Received lines of this MTA.',
  judge(facts, scope, notes): Finding | undefined {
    const { headers, heloName } = facts;
    const own = heloName.toLowerCase();
    const isOwn = (value: string) => value.toLowerCase().includes(own) && receivedBy(value) === own;
    const count = headers.filter(
      ([field, value]) => field.toLowerCase() === 'received' && isOwn(value),
    ).length;
    if (count > visits) return refuse(name, 'loop', `${count} Received lines of this MTA`);
    if (facts.hopMarks === undefined) return undefined;
    const { account, lookups } = facts;
    const { policy, recipients, sender, from } = scope;
    const hops = hopFactsOf(facts, notes);
    const { returned } = notes;
    for (const recipient of recipients) {
      const plan = planDelivery(policy, recipient, { account, sender, from, lookups, hops, returned });
      if ('outcome' in plan && plan.outcome === 'reject' && plan.reply === 'loop') return plan;
    }
    return undefined;
  },
};
