import type { MailScope, Stage } from '../stage.ts';
import { refuse } from '../stage.ts';
import type { MailFacts } from '../types.ts';

const name = 'sender-form';

/** Only the syntax of MAIL FROM: `%` and `!` in a sender route nothing, and bounce addresses use them. */
export const senderForm: Stage<MailFacts, MailScope> = {
  name,
  ids: ['G11', 'G13'],
  about: 'MAIL FROM is empty or an ASCII address without a source route.',
  judge(_facts, { sender }) {
    if (sender.kind !== 'invalid') return undefined;
    if (sender.why === 'nonAscii') return refuse(name, 'nonAscii', 'the sender is not ASCII');
    return refuse(name, 'badSender', `the sender is no address (${sender.why})`);
  },
};
