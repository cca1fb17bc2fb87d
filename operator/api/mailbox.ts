import { configMapKey, object, oneOf, recipientAddress, reference, text } from './field.ts';
import { limits } from './limits.ts';
import { setOf } from './list.ts';
import { matches, withRules } from './rule.ts';

/** `MailDomain.spec.mailbox`: a closed choice. */
export const mailbox = withRules(
  object('Where accepted mail for local recipients goes: exactly one of routeRef and maildir.', {
    routeRef: reference(
      'A Route with protocol LMTP or SMTP that leads to the mailbox server.',
      'Route',
    ).optional(),
    maildir: object(
      'Maildir folders in the volume of the MTA (Inbox, and .Junk for spam): for trials and small sites, one replica only.',
      {},
    ).optional(),
  }),
  [
    {
      cel: 'has(self.routeRef) != has(self.maildir)',
      message: 'must have exactly one of routeRef and maildir',
      holds: (self) => (self.routeRef === undefined) !== (self.maildir === undefined),
    },
  ],
);

const headerValue = (description: string) =>
  withRules(text(description, { min: 1, max: 64 }), [
    matches('^[!-~]([ -~]*[!-~])?$', 'must be printable ASCII without blanks at either end'),
  ]);

/** `MailDomain.spec.junk` (G18). */
export const junk = object('How spam is marked, so that the mailbox server files it into its spam folder.', {
  method: oneOf('Header: a header line says so. Subaddress: the recipient becomes user+folder@.', [
    'Header',
    'Subaddress',
  ]).default('Header'),
  header: object('The header line of method Header. Lines of this name in incoming mail are removed.', {
    name: withRules(text('Name of the header line.', { min: 3, max: 64 }), [
      matches('^X-[A-Za-z0-9-]*[A-Za-z0-9]$', 'must be a header name that begins with X-'),
    ]).default('X-Spam-Flag'),
    spamValue: headerValue('Value for spam.').default('YES'),
    inboxValue: headerValue('Value for all other mail.').default('NO'),
  }).prefault({}),
  subaddress: object('The recipient of method Subaddress.', {
    delimiter: oneOf('Character between the local part and the folder.', ['+', '-', '_', '=']).default('+'),
    folder: withRules(text('Folder that spam is delivered to.', { min: 1, max: 64 }), [
      matches('^[A-Za-z0-9][A-Za-z0-9._-]*$', 'must be letters, digits, dots, underscores and hyphens'),
    ]).default('Junk'),
  }).prefault({}),
});

/** `MailDomain.spec.recipients` (I9, I12). */
export const recipients = object(
  'Which recipients of the domain exist; all others are refused with 550 5.1.1.',
  {
    mode: oneOf(
      'List: those in addresses and configMapRef. Probe: the mailbox Route is asked with RCPT TO. Any: all (sets BackscatterRisk). Unset means Probe; a maildir mailbox needs List.',
      ['List', 'Probe', 'Any'],
    ).optional(),
    addresses: setOf(
      'Known recipients of mode List: local parts, or addresses of this domain. Upper and lower case are the same.',
      recipientAddress('One recipient.'),
      { max: limits.inlineRecipients },
    ).default([]),
    configMapRef: configMapKey(
      'More recipients of mode List: text with one address or local part per line; "#" begins a note.',
      'recipients',
    ).optional(),
    subaddressDelimiter: oneOf(
      'With "+", user+tag@ is known when user@ is. An empty string switches subaddresses off.',
      ['', '+', '-', '_', '='],
    ).default('+'),
  },
);
