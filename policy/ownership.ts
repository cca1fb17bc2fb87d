import type { Mailbox } from './mailbox.ts';
import { canonicalDomain, formatMailbox } from './mailbox.ts';
import type { AuthenticatedAccount } from './types.ts';

/**
 * May the account send as the address? It owns its own name and all of `sendAs`: addresses, compared without regard to case,
 * and `*@domain`.
 */
export function ownsAddress({ name, sendAs }: AuthenticatedAccount, address: Mailbox): boolean {
  const text = formatMailbox(address).toLowerCase();
  return [name, ...sendAs].some((owned) =>
    owned.startsWith('*@')
      ? canonicalDomain(owned.slice(2)) === address.domain
      : owned.toLowerCase() === text,
  );
}
