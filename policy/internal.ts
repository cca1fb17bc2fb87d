import type { Mailbox, Path } from './mailbox.ts';
import { canonicalDomain } from './mailbox.ts';
import type { AuthenticatedAccount } from './types.ts';

/** What is known about a message when somebody asks whether it is Internal for a recipient. */
export interface InternalFacts {
  readonly account?: AuthenticatedAccount | undefined;
  readonly sender: Path;
  /** Addresses of the From header; `unseen` before DATA, undefined if the header is invalid. */
  readonly from: readonly Mailbox[] | 'unseen' | undefined;
  /** It was Internal when it was sent to the gateway, and comes back from there (D8). */
  readonly returned?: boolean | undefined;
}

/**
 * The only definition of Internal: authenticated as an account of domain d, and MAIL FROM and header From of d, and the
 * recipient of d. Everything else is External: an own-domain From without authentication, mail that comes back from a Route (by its
 * `fromRoute` account) or a gateway, a null sender, any address or list. Before DATA the header counts as fitting; it is asked again
 * at end of DATA.
 * The exception is the return trip of `internalMailViaGateway`, proven by a keyed mark.
 * @param recipientDomain canonical name.
 */
export function isInternal(
  { account, sender, from, returned }: InternalFacts,
  recipientDomain: string,
): boolean {
  if (returned) return true;
  if (account === undefined || account.fromRoute !== undefined) return false;
  if (sender.kind !== 'mailbox' || from === undefined) return false;
  const domain = canonicalDomain(account.domain);
  if (domain !== recipientDomain || sender.mailbox.domain !== domain) return false;
  return from === 'unseen' || from.every((author) => author.domain === domain);
}
