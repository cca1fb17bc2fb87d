import { fields } from '../field.ts';
import type { Domain } from '../policy.ts';
import type { DataScope, Stage } from '../stage.ts';
import { byObject } from '../stage.ts';
import type { DataFacts } from '../types.ts';

/** The smallest limit of all domains that the message concerns: the recipients', and the account's. */
export const size: Stage<DataFacts, DataScope> = {
  name: 'size',
  ids: ['G12'],
  about: 'The message is no larger than limits.maxMessageBytes.',
  judge(facts, { accountDomain, domains }) {
    const concerned = accountDomain === undefined ? domains : [accountDomain, ...domains];
    const exceeded = concerned.filter(({ policy }) => facts.size > policy.maxMessageBytes).sort(byLimit)[0];
    if (exceeded === undefined) return undefined;
    const { maxMessageBytes, source } = exceeded.policy;
    const because = byObject(source, fields.maxMessageBytes);
    return {
      outcome: 'reject',
      reply: 'tooBig',
      because,
      detail: `${facts.size} octets, ${maxMessageBytes} allowed`,
    };
  },
};

function byLimit(a: Domain, b: Domain): number {
  return a.policy.maxMessageBytes - b.policy.maxMessageBytes;
}
