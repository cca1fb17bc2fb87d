import type { DkimSigner } from '../bundle/domain-policy.ts';
import { authorsOf } from './headers.ts';
import { canonicalDomain } from './mailbox.ts';
import type { Policy } from './policy.ts';
import type { AuthenticatedAccount, DataFacts } from './types.ts';

/** Which keys sign a message, and why these or none. */
export interface Signing {
  readonly signers: readonly DkimSigner[];
  /** For people. */
  readonly detail: string;
}

/**
 * The keys that sign a message. Only mail that the tenant may speak for is signed: sent by an account, with one From header
 * whose addresses are all of the account's own domain (K12). Whoever merely writes that domain into a header gets nothing, and
 * neither does mail that comes in and is passed on.
 * @param headers as the client sent them.
 * @returns all keys of the domain (K15); where it has none, the fallback key of the MTA (K17); or nothing.
 */
export function signingOf(
  policy: Policy,
  account: AuthenticatedAccount | undefined,
  headers: DataFacts['headers'],
): Signing {
  if (account === undefined) return unsigned('no account has sent it');
  const domain = canonicalDomain(account.domain);
  if (!policy.domains.has(domain)) return unsigned(`${domain} is not hosted any more`);
  if (authorsOf(headers)?.every((author) => author.domain === domain) !== true)
    return unsigned(`the From header does not speak for ${domain} alone`);
  const signers = signersOfDomain(policy, domain);
  if (signers.length === 0) return unsigned(`${domain} has no key that signs, and the MTA no fallback key`);
  const names = signers.map(({ selector, domain: own }) => `${selector}._domainkey.${own}`).join(', ');
  const isFallback = signers.every((signer) => canonicalDomain(signer.domain) !== domain);
  return { signers, detail: isFallback ? `signed with the fallback key ${names}` : `signed with ${names}` };
}

function unsigned(why: string): Signing {
  return { signers: [], detail: `not signed: ${why}` };
}

/**
 * The keys for a message that speaks for a domain: its own, or the fallback key.
 * @param domain canonical name.
 */
export function signersOfDomain(policy: Policy, domain: string): readonly DkimSigner[] {
  const own = policy.domains.get(domain)?.policy.dkim ?? [];
  return own.length > 0 ? own : fallbackSigners(policy);
}

/** At most one domain of an MTA has a fallback key: the compiler takes the oldest. */
export function fallbackSigners({ domains }: Policy): readonly DkimSigner[] {
  for (const { policy } of domains.values()) {
    const signers = policy.dkim.filter(({ fallback }) => fallback);
    if (signers.length > 0) return signers;
  }
  return [];
}
