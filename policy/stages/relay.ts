import type { RcptScope, Stage } from '../stage.ts';
import { refuse } from '../stage.ts';
import type { RcptFacts } from '../types.ts';

const name = 'relay';

/** No list, gateway or address of ours ever opens the relay: an authenticated account alone does. */
export const relay: Stage<RcptFacts, RcptScope> = {
  name,
  ids: ['A6', 'G13', 'P10'],
  about: 'Only mail for hosted domains is taken, but from authenticated accounts.',
  judge({ account }, { domain, recipient, policy }) {
    if (domain !== undefined) return undefined;
    if (account === undefined) {
      // Objects that are not applied yet, or were deleted by mistake, are no reason to send mail back.
      return policy.domains.size === 0
        ? refuse(name, 'noDomains', 'no domain is hosted here')
        : refuse(name, 'relaying', 'the domain is not hosted here');
    }
    const literal = recipient.kind === 'mailbox' && /^(?:\[|$)/.test(recipient.mailbox.domain);
    if (literal) return refuse(name, 'relaying', 'the recipient has no domain name');
    return { outcome: 'note', detail: 'an account may send anywhere', notes: {} };
  },
};
