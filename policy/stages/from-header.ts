import type { DataScope, Stage } from '../stage.ts';
import { refuse } from '../stage.ts';
import type { DataFacts } from '../types.ts';

const name = 'from-header';

/** Two From headers make two readers see two authors, under one signature. */
export const fromHeader: Stage<DataFacts, DataScope> = {
  name,
  ids: ['D12'],
  about: 'The message has exactly one From header, with at least one address and nothing that is none.',
  judge(_facts, { from }) {
    return from === undefined ? refuse(name, 'badFrom', 'no valid From header, or more than one') : undefined;
  },
};
