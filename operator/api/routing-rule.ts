import { flag, object, oneOf, reference } from './field.ts';
import { withRules } from './rule.ts';

const match = (direction: string) =>
  oneOf(
    `Internal: an authenticated account of the domain writes to a recipient of the domain. External: all other ${direction} mail.`,
    ['Internal', 'External'],
  );

/** An item of `MailDomain.spec.inboundRouting` (I1-I8, I13). */
export const inboundRule = object('One rule.', {
  match: match('received'),
  target: oneOf('Known: recipients that exist. Unknown: all others, which are then accepted.', [
    'Known',
    'Unknown',
  ]),
  routeRef: reference('The Route that this mail goes to instead of the mailbox.', 'Route'),
  alsoDeliverLocally: flag(
    'Deliver to the mailbox as well. Unknown recipients have none, so for them it means nothing.',
  ).default(false),
  ndr: oneOf(
    'Non-delivery report when the Route refuses. Auto: unless another copy for that recipient was delivered. Never: the loss is counted in status.ledger.',
    ['Auto', 'Always', 'Never'],
  ).default('Auto'),
  verifyRecipient: oneOf(
    'Probe: the Route is asked for the recipient before the mail is accepted. None: everything is accepted.',
    ['Probe', 'None'],
  ).default('Probe'),
});

/** An item of `MailDomain.spec.outboundRouting` (O1-O6). */
export const outboundRule = withRules(
  object('One rule.', {
    match: match('sent'),
    changeRoute: reference(
      'The Route that this mail goes to instead of the MX of its recipient.',
      'Route',
    ).optional(),
    sendCopyTo: reference(
      'A Route that gets one copy of each message, addressed to its sender; the original is not touched.',
      'Route',
    ).optional(),
  }),
  [
    {
      cel: 'has(self.changeRoute) || has(self.sendCopyTo)',
      message: 'must have changeRoute or sendCopyTo',
      holds: (self) => self.changeRoute !== undefined || self.sendCopyTo !== undefined,
    },
  ],
);
