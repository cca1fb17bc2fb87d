import { fields } from '../field.ts';
import { canonicalDomain } from '../mailbox.ts';
import type { Finding, RcptScope, Stage } from '../stage.ts';
import { byObject } from '../stage.ts';
import type { RcptFacts } from '../types.ts';

/** Stands behind all that can refuse a recipient: only those that were accepted count. */
export const accountLimit: Stage<RcptFacts, RcptScope> = {
  name: 'account-limit',
  ids: ['P7'],
  about: 'An account sends to so many recipients an hour, and no other account pays for it.',
  judge({ account, accountRecipients = 0 }, { policy }): Finding | undefined {
    if (account === undefined) return { outcome: 'skip', detail: 'not authenticated' };
    const domain = policy.domains.get(canonicalDomain(account.domain))?.policy;
    if (domain === undefined || accountRecipients < domain.submission.recipientsPerHour) return undefined;
    const because = byObject(domain.source, fields.recipientsPerHour);
    const detail = `${accountRecipients} recipients within the last hour`;
    return { outcome: 'reject', reply: 'accountLimit', because, detail };
  },
};
