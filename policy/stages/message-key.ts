import type { Domain } from '../policy.ts';
import { isRole } from '../recipient.ts';
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
  judge(facts, { domain, recipient }, notes): Finding | undefined {
    if (facts.account !== undefined)
      return { outcome: 'note', detail: 'authenticated', notes: { messageKey: 'account' } };
    if (domain === undefined) return undefined;
    const role = recipient.kind === 'mailbox' && isRole(recipient.mailbox);
    const key = keyOf(domain, { tls: facts.tls, role }, notes);
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

function keyOf(
  { block, keys }: Domain,
  { tls, role }: { readonly tls: boolean; readonly role: boolean },
  notes: Notes,
): string {
  const parts = [notes.allowed === undefined ? 'listed' : 'allowed', keys.direct];
  if (notes.viaGateway) parts.push(keys.gateway);
  // Block lists are asked about the original client at end of DATA, and never stand between it and a postmaster (I11).
  if (notes.viaGateway && role && block.length > 0) parts.push('role');
  if (!tls) parts.push(keys.plain);
  return parts.join(' ');
}
