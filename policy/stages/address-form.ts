import type { RcptScope, Stage } from '../stage.ts';
import { refuse } from '../stage.ts';
import type { RcptFacts } from '../types.ts';

const name = 'address-form';

/**
 * The address tricks that made relays open: some mail server behind us may still read `user%elsewhere@here` as a route. They
 * are refused for everyone, before anything is asked about the domain.
 */
export const addressForm: Stage<RcptFacts, RcptScope> = {
  name,
  ids: ['G11', 'G13'],
  about: 'RCPT TO is an ASCII address without a source route, and its local part has no %, ! or @.',
  judge(_facts, { recipient }) {
    if (recipient.kind === 'null') return refuse(name, 'badRecipient', 'the recipient is empty');
    if (recipient.kind === 'invalid') {
      switch (recipient.why) {
        case 'nonAscii':
          return refuse(name, 'nonAscii', 'the recipient is not ASCII');
        case 'sourceRoute':
          return refuse(name, 'sourceRoute', 'the recipient has a source route');
        default:
          return refuse(name, 'badRecipient', `the recipient is no address (${recipient.why})`);
      }
    }
    if (/[%!@]/.test(recipient.mailbox.localPart)) {
      return refuse(name, 'routedLocalPart', 'the local part has %, ! or @ in it');
    }
    return undefined;
  },
};
