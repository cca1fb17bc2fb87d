import { isRole } from '../recipient.ts';
import type { DataScope, Finding, Stage } from '../stage.ts';
import { becauseOf, clientListing } from '../standing.ts';
import type { Because, DataFacts } from '../types.ts';

/** The lists once more, on the original client: behind a gateway only that one can be allowed, and it is blocked as anywhere. */
export const clientAccess: Stage<DataFacts, DataScope> = {
  name: 'client-access',
  ids: ['A12', 'B3', 'D11'],
  about:
    'Behind a gateway the original client is in no block list of the recipient domain, or in an allow list of it.',
  judge({ now }, { domains: [domain], recipients }, { originalClient }): Finding {
    if (domain === undefined || originalClient === undefined)
      return { outcome: 'skip', detail: 'not via a gateway' };
    const match = clientListing(domain, originalClient, now);
    if (match.allow !== undefined) {
      const because = becauseOf(match.allow);
      return noteOf('the original client is in an allow list', because, { allowed: because });
    }
    if (match.block === undefined) return noteOf('the original client is in no list');
    const because = becauseOf(match.block);
    const roles = recipients.every(
      ({ recipient }) => recipient.kind === 'mailbox' && isRole(recipient.mailbox),
    );
    if (roles) return noteOf('in a block list, but the postmaster can always be reached', because);
    return { outcome: 'reject', reply: 'blocked', because, detail: 'the original client is in a block list' };
  },
};

function noteOf(detail: string, because?: Because, notes: { readonly allowed?: Because } = {}): Finding {
  return { outcome: 'note', detail, ...(because && { because }), notes };
}
