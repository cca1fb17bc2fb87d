import type { Finding, Notes, RcptScope, Stage } from '../stage.ts';
import { byObject } from '../stage.ts';
import type { RcptFacts } from '../types.ts';

/**
 * One message gets one answer at end of DATA, so recipients for whom it would be judged by other settings come in a message
 * of their own. Mail clients fail the whole sending at a 452, so accounts are never asked to (P9).
 */
export const messageKey: Stage<RcptFacts, RcptScope> = {
  name: 'message-key',
  ids: ['G8', 'P9'],
  about: 'All recipients of a message are judged by the same settings at end of DATA.',
  judge(facts, { domain }, notes): Finding | undefined {
    if (facts.account !== undefined)
      return { outcome: 'note', detail: 'authenticated', notes: { messageKey: 'account' } };
    if (domain === undefined) return undefined;
    const key = keyOf(domain.keys, facts.tls, notes);
    if (facts.firstMessageKey !== undefined && facts.firstMessageKey !== key) {
      const because = byObject(domain.policy.source, 'spec');
      return {
        outcome: 'reject',
        reply: 'otherSettings',
        because,
        detail: 'judged by other settings than the first',
      };
    }
    return { outcome: 'note', detail: 'same settings', notes: { messageKey: key } };
  },
};

function keyOf(keys: { direct: string; gateway: string; plain: string }, tls: boolean, notes: Notes): string {
  const parts = [notes.allowed === undefined ? 'listed' : 'allowed', keys.direct];
  if (notes.viaGateway) parts.push(keys.gateway);
  if (!tls) parts.push(keys.plain);
  return parts.join(' ');
}
