import { fields } from '../field.ts';
import type { DataScope, Finding, Stage } from '../stage.ts';
import { byObject } from '../stage.ts';
import type { DataFacts } from '../types.ts';

/** What allow lists and gateways skip is the judgement about spam; a virus stays one. */
export const filterScope: Stage<DataFacts, DataScope> = {
  name: 'filter-scope',
  ids: ['A6', 'D10', 'G17'],
  about:
    'The content filter is asked for viruses only if the client is allowed, or the gateway has filtered spam already.',
  judge(_facts, { domains: [domain] }, { allowed, viaGateway }): Finding | undefined {
    if (allowed !== undefined) {
      const notes = { virusOnly: allowed };
      return { outcome: 'note', detail: 'no spam filter: the client is allowed', because: allowed, notes };
    }
    const gateway = viaGateway ? domain?.gateway?.policy : undefined;
    if (!gateway?.skipContentFilter) return undefined;
    const because = byObject(gateway.source, fields.skipContentFilter);
    const notes = { virusOnly: because };
    return { outcome: 'note', detail: 'no spam filter: the gateway has one', because, notes };
  },
};
