import { isRole } from '../recipient.ts';
import type { Finding, RcptScope, Stage } from '../stage.ts';
import { refuse } from '../stage.ts';
import { becauseOf, standingOf } from '../standing.ts';
import type { RcptFacts } from '../types.ts';

const name = 'access';

/** Allow and block lists of the recipient domain on the peer address. */
export const access: Stage<RcptFacts, RcptScope> = {
  name,
  ids: ['A1', 'A6', 'A10', 'A11', 'A12', 'B3', 'B4', 'B5', 'B6', 'G2', 'I11'],
  about: 'The peer is in no block list of the recipient domain, or in an allow list of it.',
  judge({ account, now }, { domain, peer, recipient }): Finding | undefined {
    if (account !== undefined) return { outcome: 'skip', detail: 'authenticated' };
    if (domain === undefined) return undefined;
    // An address that cannot be read would slip past every list.
    if (peer === undefined) return refuse(name, 'fault', 'the peer address cannot be read');
    const { viaGateway, ...match } = standingOf(domain, peer, now);
    const allow = match.allow && becauseOf(match.allow);
    const block = match.block && becauseOf(match.block);
    if (allow !== undefined) {
      // A12: behind a gateway only the original client can be allowed; the entry still cancels a block of the peer.
      const notes = viaGateway ? { viaGateway } : { viaGateway, allowed: allow };
      const detail = viaGateway ? 'an allow list covers the gateway' : 'in an allow list';
      return { outcome: 'note', detail, because: allow, notes };
    }
    if (block === undefined) return { outcome: 'note', detail: 'in no list', notes: { viaGateway } };
    if (recipient.kind === 'mailbox' && isRole(recipient.mailbox)) {
      const detail = 'in a block list, but the postmaster can always be reached';
      return { outcome: 'note', detail, because: block, notes: { viaGateway } };
    }
    return { outcome: 'reject', reply: 'blocked', because: block, detail: 'in a block list' };
  },
};
