import { receivedBy } from '../headers.ts';
import type { DataScope, Stage } from '../stage.ts';
import { refuse } from '../stage.ts';
import type { DataFacts } from '../types.ts';

const name = 'loop';

/** Times that a message may have been here before. Other hops do not count: a long way is no loop. */
const visits = 5;

/** A forged line of ours can only get the forger's own message refused. */
export const loop: Stage<DataFacts, DataScope> = {
  name,
  ids: ['G10'],
  about: 'The message has at most 5 Received lines of this MTA.',
  judge({ headers, heloName }) {
    const own = heloName.toLowerCase();
    const count = headers.filter(
      ([field, value]) => field.toLowerCase() === 'received' && receivedBy(value) === own,
    ).length;
    return count > visits ? refuse(name, 'loop', `${count} Received lines of this MTA`) : undefined;
  },
};
