import { fields } from '../field.ts';
import { isReturnedInternal } from '../hop.ts';
import type { DataScope, Stage } from '../stage.ts';
import { byObject } from '../stage.ts';
import type { DataFacts } from '../types.ts';

/** The other half of the trip that `internalMailViaGateway` sends mail on. From any other peer the mark says nothing. */
export const returnedInternal: Stage<DataFacts, DataScope> = {
  name: 'returned-internal',
  ids: ['D8'],
  about:
    'Mail from a registered hop of the gateway with our keyed mark of the last 24 hours is Internal again: no IP lists, SPF or DMARC.',
  judge(facts, scope, notes) {
    const gateway = scope.domains[0]?.gateway?.policy;
    if (gateway === undefined || !isReturnedInternal(facts, scope, notes)) return undefined;
    const because = byObject(gateway.source, fields.internalMailViaGateway);
    return { outcome: 'note', detail: 'Internal, back from the gateway', because, notes: { returned: true } };
  },
};
