import type { Refused, Reply } from './types.ts';

interface CaseReply extends Reply {
  /** The connection is closed after it. */
  readonly disconnect?: true;
}

/**
 * Every reply that a refusal can have, by its case. The only place where codes stand; the reference page is made from it.
 * Texts are constant: nothing that a client sent is ever echoed.
 */
export const replies = {
  draining: reply(421, '4.3.2', 'service is going down, try again later', true),
  noPolicy: reply(421, '4.3.2', 'service is not ready yet, try again later', true),
  fault: reply(451, '4.3.0', 'local error, try again later'),

  authRequired: reply(530, '5.7.0', 'authentication required'),
  authFailed: reply(535, '5.7.8', 'authentication failed'),
  authNeedsTls: reply(538, '5.7.11', 'authentication is offered over TLS only'),
  authGuessing: reply(421, '4.7.0', 'too many failed authentications', true),
  senderNotOwned: reply(553, '5.7.1', 'this account may not send as this address'),
  fromNotOwned: reply(550, '5.7.1', 'this account may not send with this From address'),
  accountLimit: reply(450, '4.7.1', 'this account has sent to too many recipients, try again later'),

  syntax: reply(501, '5.5.4', 'syntax is MAIL FROM:<address> or RCPT TO:<address>'),
  parameters: reply(555, '5.5.4', 'a parameter of this command is not supported'),
  dsnParameters: reply(555, '5.5.4', 'NOTIFY and RET are not supported'),
  nonAscii: reply(553, '5.6.7', 'addresses must be ASCII: SMTPUTF8 is not supported'),
  badSender: reply(553, '5.1.7', 'the sender is no valid address'),
  badRecipient: reply(553, '5.1.3', 'the recipient is no valid address'),
  routedLocalPart: reply(553, '5.1.3', 'addresses that route by %, ! or a quoted @ are refused'),
  sourceRoute: reply(550, '5.7.1', 'source routes are refused'),

  noDomains: reply(451, '4.3.5', 'no domain is served here yet, try again later'),
  relaying: reply(550, '5.7.1', 'relaying denied'),
  tlsRequired: reply(530, '5.7.0', 'must issue a STARTTLS command first'),
  blocked: reply(550, '5.7.1', 'the address of this client is blocked'),
  notFromGateway: reply(550, '5.7.1', 'mail for this domain is taken from its gateway only'),
  unknownRecipient: reply(550, '5.1.1', 'no such recipient'),
  tooManyUnknown: reply(421, '4.7.0', 'too many unknown recipients', true),
  recipientsUnavailable: reply(451, '4.3.0', 'recipients cannot be checked now, try again later'),
  otherSettings: reply(452, '4.5.3', 'this recipient needs a message of its own, send it again'),

  smuggling: reply(550, '5.6.0', 'message has a bare CR, bare LF or NUL'),
  tooBig: reply(552, '5.3.4', 'message is too big'),
  badFrom: reply(550, '5.7.1', 'message needs one From header with a valid address'),
  loop: reply(554, '5.4.6', 'mail loop'),
  spfFailed: reply(550, '5.7.23', 'SPF validation failed'),
  dmarcFailed: reply(550, '5.7.26', 'DMARC validation failed'),
  dnsUnavailable: reply(451, '4.7.0', 'sender authentication cannot be checked now, try again later'),
  contentRefused: reply(550, '5.7.1', 'message was refused by the content filter'),
  contentDeferred: reply(451, '4.7.1', 'message was deferred by the content filter'),
  routeGone: reply(451, '4.3.5', 'the configuration for this destination is missing, will be tried again'),
  nullMx: reply(556, '5.1.10', 'the recipient domain takes no mail'),
} as const;

/** A case of the table. */
export type ReplyCase = keyof typeof replies;

/** The line that the client reads, without multi-line continuation: `550 5.7.1 relaying denied (ref 0A1B2C3D)`. */
export function replyLine({ reply, ref }: Pick<Refused, 'reply' | 'ref'>): string {
  return `${reply.code} ${reply.enhanced} ${reply.text} (ref ${ref})`;
}

function reply(code: number, enhanced: string, text: string, disconnect?: true): CaseReply {
  return { code, enhanced, text, ...(disconnect && { disconnect }) };
}
