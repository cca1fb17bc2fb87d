import type { ConnectScope, Stage } from '../stage.ts';
import { refuse } from '../stage.ts';
import type { ConnectFacts } from '../types.ts';

const name = 'service';

/** Nothing is judged without a policy, and nothing new is begun by a pod that is going. */
export const service: Stage<ConnectFacts, ConnectScope> = {
  name,
  ids: ['G14'],
  about: 'A pod that drains, or has no bundle yet, takes no connection.',
  judge(_facts, { draining, policy }) {
    if (draining) return refuse(name, 'draining', 'the pod is going down');
    if (policy === undefined) return refuse(name, 'noPolicy', 'no policy bundle has been loaded');
    return undefined;
  },
};
