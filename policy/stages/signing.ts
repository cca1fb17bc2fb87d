import { signingOf } from '../signer.ts';
import type { DataScope, Stage } from '../stage.ts';
import { byObject } from '../stage.ts';
import type { DataFacts } from '../types.ts';

/** Refuses nothing: it says in the trace which keys sign. The MTA asks the same function for them. */
export const signing: Stage<DataFacts, DataScope> = {
  name: 'signing',
  ids: ['K1', 'K12', 'K15', 'K17'],
  about: 'Mail of an account is signed with the keys of its domain, or with the fallback key.',
  judge({ account, headers }, { policy }) {
    const { signers, detail } = signingOf(policy, account, headers);
    const [signer] = signers;
    if (signer === undefined) return { outcome: 'skip', detail };
    return { outcome: 'note', detail, because: byObject(signer.source, ''), notes: {} };
  },
};
