import type { RcptScope, Stage } from '../stage.ts';
import { refuse } from '../stage.ts';
import type { RcptFacts } from '../types.ts';

const name = 'relay';

/**
 * No list, gateway or address of ours opens the relay. Mail of accounts to other domains is refused as well until it can be
 * signed, limited and routed, but with a text that tells it from an attack.
 */
export const relay: Stage<RcptFacts, RcptScope> = {
  name,
  ids: ['A6', 'G13', 'P10'],
  about: 'Only mail for hosted domains is taken.',
  judge({ account }, { domain }) {
    if (domain !== undefined) return undefined;
    if (account === undefined) return refuse(name, 'relaying', 'the domain is not hosted here');
    return refuse(name, 'outboundOff', 'outbound mail is not enforced in this version');
  },
};
