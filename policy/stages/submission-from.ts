import { fields } from '../field.ts';
import { ownsAddress } from '../ownership.ts';
import type { DataScope, Stage } from '../stage.ts';
import { byObject, refuse } from '../stage.ts';
import type { DataFacts } from '../types.ts';

const name = 'submission-from';

/** P5: every address of the From header, not the first only. */
export const submissionFrom: Stage<DataFacts, DataScope> = {
  name,
  ids: ['P5', 'P6'],
  about: 'Every address in the From header of an authenticated message is owned by the account.',
  judge({ account }, { accountDomain, from }) {
    if (account === undefined) return { outcome: 'skip', detail: 'not authenticated' };
    if (from?.every((author) => ownsAddress(account, author))) return undefined;
    const detail = `not an address of ${account.name}`;
    if (accountDomain === undefined) return refuse(name, 'fromNotOwned', detail);
    const because = byObject(accountDomain.policy.source, fields.submission);
    return { outcome: 'reject', reply: 'fromNotOwned', because, detail };
  },
};
