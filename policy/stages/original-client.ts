import { fields } from '../field.ts';
import { describeClient, originalClientOf } from '../original-client.ts';
import type { DataScope, Finding, Stage } from '../stage.ts';
import { byObject } from '../stage.ts';
import type { DataFacts } from '../types.ts';

/** All recipients of a message that came via a gateway have the same one: G8 sees to that. */
export const originalClient: Stage<DataFacts, DataScope> = {
  name: 'original-client',
  ids: ['D4', 'D13'],
  about:
    'Behind a gateway the client is the first address in the Received lines of registered hops that is not registered itself.',
  judge({ headers }, { domains: [domain] }, { returned, viaGateway }): Finding {
    if (returned) return { outcome: 'skip', detail: 'Internal, back from the gateway' };
    const gateway = domain?.gateway;
    if (!viaGateway || gateway === undefined) return { outcome: 'skip', detail: 'not via a gateway' };
    const client = originalClientOf(headers, gateway.addresses);
    const because = byObject(gateway.policy.source, fields.gatewayAddresses);
    return { outcome: 'note', detail: describeClient(client), because, notes: { originalClient: client } };
  },
};
