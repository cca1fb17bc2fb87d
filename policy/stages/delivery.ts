import type { Leg } from '../../bundle/leg.ts';
import { planDelivery } from '../delivery.ts';
import { hopFactsOf } from '../hop.ts';
import { canonicalDomain } from '../mailbox.ts';
import { markLeg } from '../markers.ts';
import type { DataScope, Finding, Notes, Stage } from '../stage.ts';
import type { DataFacts, MarkedLeg } from '../types.ts';

/** The legs of every recipient, now that the From header has said whether the message is Internal. */
export const delivery: Stage<DataFacts, DataScope> = {
  name: 'delivery',
  ids: ['I1', 'I2', 'I3', 'I6', 'D8', 'G7', 'G9', 'G18', 'A7'],
  about: 'Every recipient still has a destination. Its mailbox is told whether the message is spam.',
  judge(facts, scope, notes): Finding {
    const { account, lookups } = facts;
    const { returned } = notes;
    const hops = hopFactsOf(facts, notes);
    const { policy, recipients, sender, from } = scope;
    const marked: (readonly MarkedLeg[])[] = [];
    for (const recipient of recipients) {
      const plan = planDelivery(policy, recipient, { account, sender, from, lookups, hops, returned });
      if ('outcome' in plan) return plan;
      marked.push(plan.legs.map((leg) => finish(leg, scope, notes)));
    }
    const legs = marked.map((each) => each.map(({ leg }) => leg));
    return { outcome: 'note', detail: `${legs.flat().length} legs`, notes: { legs, marked } };
  },
};

const unreported = { onFailure: 'Ledger', ledgerEntry: 'backscatterAvoided' } as const;

/** A report of failure goes to a proven sender only, and never for spam: anybody else may not have sent the mail (G9). */
function finish(leg: Leg, { policy, sender }: DataScope, { junk, proven }: Notes): MarkedLeg {
  const isSpam = junk?.has(leg.domain) === true;
  const quiet = sender.kind !== 'mailbox' || proven === false || isSpam;
  const host = policy.domains.get(canonicalDomain(leg.domain))?.policy;
  return markLeg(quiet && leg.onFailure === 'Dsn' ? { ...leg, ...unreported } : leg, host, isSpam);
}
