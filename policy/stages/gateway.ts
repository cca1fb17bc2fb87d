import { fields } from '../field.ts';
import type { RcptScope, Stage } from '../stage.ts';
import { byObject } from '../stage.ts';
import type { RcptFacts } from '../types.ts';

/** D7. "All mail from a permitted IP is received" is the stronger sentence, so an allowed peer passes and is flagged. */
export const gateway: Stage<RcptFacts, RcptScope> = {
  name: 'gateway',
  ids: ['D7'],
  about: 'A domain with onlyFromGateway takes mail from the registered addresses, and from allowed peers.',
  judge({ account }, { domain }, { allowed, viaGateway }) {
    if (account !== undefined) return { outcome: 'skip', detail: 'authenticated' };
    const policy = domain?.gateway?.policy;
    if (policy === undefined || !policy.onlyFromGateway || viaGateway) return undefined;
    const because = byObject(policy.source, fields.onlyFromGateway);
    if (allowed !== undefined) {
      return { outcome: 'note', detail: 'an allow list bypasses the gateway', because, notes: {} };
    }
    return {
      outcome: 'reject',
      reply: 'notFromGateway',
      because,
      detail: 'not a registered address of the gateway',
    };
  },
};
