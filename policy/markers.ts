import type { DomainPolicy } from '../bundle/domain-policy.ts';
import type { Leg } from '../bundle/leg.ts';
import { formatMailbox, parseMailbox } from './mailbox.ts';
import { userOf } from './recipient.ts';
import type { MarkedLeg } from './types.ts';

/** Folder of a Maildir for spam where the domain marks by header. */
const defaultFolder = 'Junk';

/**
 * What tells the mailbox of a recipient whether the message is spam (G18): a header field, which says so either way, or the
 * Junk subaddress of the recipient. Both go where the domain's own mail goes: other servers would not know the subaddress, and
 * copies and mail to others are no mail in a mailbox. A Maildir of our own has a folder besides.
 * @param host the domain of the leg.
 * @param junk a stage has found the message to be spam.
 */
export function markLeg(leg: Leg, host: DomainPolicy | undefined, junk: boolean): MarkedLeg {
  const isInbound = leg.purpose === 'Mailbox' || leg.purpose === 'Routed';
  if (host === undefined || !isInbound || leg.hop.kind === 'Mx') return { leg, headers: [] };
  const { method, header, subaddress } = host.junk;
  const folder = method === 'Subaddress' ? subaddress.folder : defaultFolder;
  const place = junk && leg.hop.kind === 'Maildir' ? { folder } : {};
  if (method === 'Header') {
    const value = junk ? header.spamValue : header.inboxValue;
    return { leg, headers: [[header.name, value]], ...place };
  }
  const recipient = junk && leg.purpose === 'Mailbox' ? junkAddress(leg.recipient, host) : leg.recipient;
  return { leg: { ...leg, recipient }, headers: [], ...place };
}

/** `user+Junk@`, also for mail to `user+tag@`: a mailbox has one Junk folder. */
function junkAddress(recipient: string, host: DomainPolicy): string {
  const mailbox = parseMailbox(recipient);
  if (mailbox === undefined) return recipient;
  const { delimiter, folder } = host.junk.subaddress;
  return formatMailbox({
    ...mailbox,
    localPart: `${userOf(mailbox.localPart, host.recipients)}${delimiter}${folder}`,
  });
}
