import type { Leg } from '../../bundle/leg.ts';
import { joinCopies } from '../copies.ts';
import { planDelivery } from '../delivery.ts';
import { hopFactsOf } from '../hop.ts';
import { canonicalDomain } from '../mailbox.ts';
import { markLeg } from '../markers.ts';
import { isProven } from '../proof.ts';
import type { DataScope, Finding, Notes, Stage } from '../stage.ts';
import type { AuthenticatedAccount, DataFacts, MarkedLeg } from '../types.ts';

/** The legs of every recipient, now that the From header has said whether the message is Internal. */
export const delivery: Stage<DataFacts, DataScope> = {
  name: 'delivery',
  ids: ['I1', 'I2', 'I3', 'I6', 'D8', 'O1', 'O2', 'O4', 'O6', 'O8', 'G7', 'G9', 'G10', 'G18', 'A7', 'T14'],
  about: 'Every recipient still has a destination. Its mailbox is told whether the message is spam.',
  judge(facts, scope, notes): Finding {
    const { account, lookups } = facts;
    const { returned } = notes;
    const hops = hopFactsOf(facts, notes);
    const { policy, recipients, sender, from } = scope;
    const planned: (readonly Leg[])[] = [];
    for (const recipient of recipients) {
      const plan = planDelivery(policy, recipient, { account, sender, from, lookups, hops, returned });
      if ('outcome' in plan) return plan;
      planned.push(plan.legs);
    }
    const marked = joinCopies(planned).map((each) =>
      each.map((leg) => finish(leg, scope, { account, notes })),
    );
    const legs = marked.map((each) => each.map(({ leg }) => leg));
    return { outcome: 'note', detail: `${legs.flat().length} legs`, notes: { legs, marked } };
  },
};

const unreported = { onFailure: 'Ledger', ledgerEntry: 'backscatterAvoided' } as const;

/** A report of failure goes to a proven sender only, and never for spam: anybody else may not have sent the mail (G9). */
function finish(
  leg: Leg,
  { policy, sender }: DataScope,
  { account, notes }: { account: AuthenticatedAccount | undefined; notes: Notes },
): MarkedLeg {
  const isSpam = notes.junk?.has(leg.domain) === true;
  const quiet = sender.kind !== 'mailbox' || !isProven({ account }, notes) || isSpam;
  const host = policy.domains.get(canonicalDomain(leg.domain))?.policy;
  return markLeg(quiet && leg.onFailure === 'Dsn' ? { ...leg, ...unreported } : leg, host, isSpam);
}
