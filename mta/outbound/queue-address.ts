import { Address } from '@haraka/email-address';
import { formatMailbox, parsePath } from '../../policy/mailbox.ts';

/**
 * A path that the policy has accepted, as Haraka's queue keeps addresses. Built from its parts: Haraka's own parser knows fewer
 * addresses (no local part over 64 octets, no `_` in a name, no trailing dot), and its queue carries them all.
 * @param path without brackets; empty for the null sender.
 * @throws Error if it is no address.
 */
export function queueAddress(path: string): Address {
  const parsed = parsePath(path);
  if (parsed.kind === 'null') return new Address('<>');
  if (parsed.kind === 'invalid') throw new Error(`an address that is ${parsed.why} was accepted`);
  const { localPart, domain } = parsed.mailbox;
  return rehydrated({
    original: `<${formatMailbox(parsed.mailbox)}>`,
    user: formatMailbox({ localPart, domain: '' }),
    host: domain,
    original_host: domain,
  });
}

/** The constructor parses whatever it is given. */
function rehydrated(parts: Pick<Address, 'original' | 'user' | 'host' | 'original_host'>): Address {
  const address = new Address('<>');
  return Object.assign(address, parts);
}
