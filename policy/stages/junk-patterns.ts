import { findJunkPattern } from '../junk-pattern.ts';
import type { DataScope, Finding, Stage } from '../stage.ts';
import { byObject } from '../stage.ts';
import type { Because, DataFacts } from '../types.ts';

/** Each domain has patterns of its own: they decide between Inbox and Junk, never whether mail is taken. */
export const junkPatterns: Stage<DataFacts, DataScope> = {
  name: 'junk-patterns',
  ids: ['D9', 'A6', 'A7'],
  about: 'Mail via a gateway with a header line that a junk pattern of its domain matches goes to Junk.',
  judge({ headers }, { domains }, notes): Finding | undefined {
    if (!notes.viaGateway) return { outcome: 'skip', detail: 'not via a gateway' };
    if (notes.allowed !== undefined) return { outcome: 'skip', detail: 'the original client is allowed' };
    const junk = new Map<string, Because>(notes.junk);
    let last: Because | undefined;
    for (const { gateway, policy } of domains) {
      const pattern = gateway && findJunkPattern(gateway.junkPatterns, headers);
      if (gateway === undefined || pattern === undefined || junk.has(policy.domain)) continue;
      last = byObject(gateway.policy.source, pattern.text);
      junk.set(policy.domain, last);
    }
    if (last === undefined) return undefined;
    return {
      outcome: 'note',
      detail: 'a header line matches a junk pattern',
      because: last,
      notes: { junk },
    };
  },
};
