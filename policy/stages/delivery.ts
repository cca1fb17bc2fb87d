import type { Leg } from '../../bundle/leg.ts';
import { planDelivery } from '../delivery.ts';
import type { DataScope, Finding, Stage } from '../stage.ts';
import type { DataFacts } from '../types.ts';

/** The legs of every recipient, now that the From header has said whether the message is Internal. */
export const delivery: Stage<DataFacts, DataScope> = {
  name: 'delivery',
  ids: ['I1', 'I2', 'I3', 'I6', 'G7'],
  about: 'Every recipient still has a destination.',
  judge({ account, lookups }, { policy, recipients, sender, from }): Finding {
    const legs: (readonly Leg[])[] = [];
    for (const recipient of recipients) {
      const plan = planDelivery(policy, recipient, { account, sender, from, lookups });
      if ('outcome' in plan) return plan;
      legs.push(plan.legs);
    }
    return { outcome: 'note', detail: `${legs.flat().length} legs`, notes: { legs } };
  },
};
