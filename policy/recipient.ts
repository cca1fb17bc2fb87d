import type { DomainPolicy } from '../bundle/domain-policy.ts';
import { lookupKey } from './lookup.ts';
import type { Mailbox } from './mailbox.ts';
import { formatMailbox } from './mailbox.ts';
import type { Domain } from './policy.ts';
import type { LookupAnswer, RecipientLookup } from './types.ts';

/** Whether a domain has a recipient, or what has to be asked to say so. */
export type Knowledge = LookupAnswer | { readonly lookup: RecipientLookup };

/** Local parts that every domain answers for (RFC 5321 4.5.1, RFC 2142). */
export function isRole({ localPart }: Mailbox): boolean {
  return /^(?:postmaster|abuse)$/i.test(localPart);
}

/**
 * Does the domain have this recipient, as written or without its subaddress? Local parts are compared without regard to case.
 */
export function knowledgeOf(
  { policy: { recipients, domain }, localParts }: Domain,
  { localPart }: Mailbox,
  answers: ReadonlyMap<string, LookupAnswer>,
): Knowledge {
  const candidates = [localPart, ...baseOf(localPart, recipients.subaddressDelimiter)];
  switch (recipients.mode) {
    case 'Any':
      return 'known';
    case 'List':
      if (candidates.some((candidate) => contains(localParts, candidate.toLowerCase()))) return 'known';
      return recipients.available ? 'unknown' : 'unavailable';
    case 'Probe': {
      if (recipients.probeRoute === undefined || !recipients.available) return 'unavailable';
      for (const candidate of candidates) {
        const recipient = formatMailbox({ localPart: candidate, domain });
        const answer = ask(recipients.probeRoute, recipient, answers);
        if (answer !== 'unknown') return answer;
      }
      return 'unknown';
    }
  }
}

/** What a Route says about a recipient. */
export function ask(route: string, recipient: string, answers: ReadonlyMap<string, LookupAnswer>): Knowledge {
  const lookup: RecipientLookup = { kind: 'recipient', route, recipient };
  return answers.get(lookupKey(lookup)) ?? { lookup };
}

/** The local part of the mailbox: without its subaddress, unless the whole is a recipient of its own (I12). */
export function userOf(
  localPart: string,
  { subaddressDelimiter, localParts }: DomainPolicy['recipients'],
): string {
  const [base] = baseOf(localPart, subaddressDelimiter);
  return base === undefined || localParts.includes(localPart.toLowerCase()) ? localPart : base;
}

/** `user` of `user+tag` (I12); nothing if there is no subaddress. */
function baseOf(localPart: string, delimiter: string): string[] {
  const at = delimiter === '' ? -1 : localPart.indexOf(delimiter);
  return at > 0 ? [localPart.slice(0, at)] : [];
}

function contains(sorted: readonly string[], text: string): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? '') < text) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === text;
}
