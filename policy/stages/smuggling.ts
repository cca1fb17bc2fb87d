import type { DataScope, Stage } from '../stage.ts';
import { refuse } from '../stage.ts';
import type { DataFacts } from '../types.ts';

const name = 'smuggling';

const seen = { bareCr: 'a bare CR', bareLf: 'a bare LF', nul: 'a NUL' } as const;

/** Bytes that two servers read in two ways are never passed on (SMTP smuggling, CVE-2023-51764 and its kin). */
export const smuggling: Stage<DataFacts, DataScope> = {
  name,
  ids: ['G20'],
  about: 'The message has no bare CR, bare LF or NUL.',
  judge({ smuggling: found }) {
    return found === 'none' ? undefined : refuse(name, 'smuggling', `the message has ${seen[found]}`);
  },
};
