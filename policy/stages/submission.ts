import { fields } from '../field.ts';
import { canonicalDomain } from '../mailbox.ts';
import { ownsAddress } from '../ownership.ts';
import type { MailScope, Stage } from '../stage.ts';
import { byObject, refuse } from '../stage.ts';
import type { MailFacts } from '../types.ts';

const name = 'submission';

/** P5: the envelope sender of an authenticated client; its header is looked at in `submission-from`. */
export const submission: Stage<MailFacts, MailScope> = {
  name,
  ids: ['P1', 'P5', 'P6'],
  about:
    'An account sends only as addresses it owns; the null sender is allowed if the From header is owned.',
  judge({ account }, { policy, sender }) {
    if (account === undefined) return { outcome: 'skip', detail: 'not authenticated' };
    const domain = policy.domains.get(canonicalDomain(account.domain));
    if (domain === undefined)
      return refuse(name, 'authFailed', 'the domain of the account is not hosted any more');
    const because = byObject(domain.policy.source, fields.submission);
    if (!domain.policy.submission.enabled) {
      return { outcome: 'reject', reply: 'authFailed', because, detail: 'submission is switched off' };
    }
    if (sender.kind === 'mailbox' && !ownsAddress(account, sender.mailbox)) {
      return {
        outcome: 'reject',
        reply: 'senderNotOwned',
        because,
        detail: `not an address of ${account.name}`,
      };
    }
    return undefined;
  },
};
