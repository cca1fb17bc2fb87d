import type { Leg } from '../bundle/leg.ts';
import type { Mailbox, Path } from './mailbox.ts';
import { formatMailbox } from './mailbox.ts';
import type { DataScope, Notes } from './stage.ts';
import type { AuthenticatedAccount, DataFacts, HopMarks } from './types.ts';

/** The marks of a message, and who hands it over. */
export interface HopFacts {
  readonly marks: HopMarks | undefined;
  /** The peer is a registered hop of the recipient domain's gateway. */
  readonly viaGateway: boolean;
  readonly account: AuthenticatedAccount | undefined;
}

/**
 * How a leg stands with the places that the mail has been at (G10): `never` there; `returned` from there by whoever may hand it
 * back, so that the Route is skipped; or a `loop`.
 */
export type Visit = 'never' | 'returned' | 'loop';

/** Has this mail been at the Route of a leg already, for the recipient of the leg? */
export function visitOf({ hop, recipient }: Leg, hops: HopFacts | undefined): Visit {
  if (hop.kind !== 'Route' || hops?.marks === undefined) return 'never';
  if (!hops.marks.hasVisited(hop.route, recipient)) return 'never';
  return hops.viaGateway || hops.account?.fromRoute === hop.route ? 'returned' : 'loop';
}

/** The facts about hops of a message. */
export function hopFactsOf({ hopMarks, account }: DataFacts, { viaGateway }: Notes): HopFacts {
  return { marks: hopMarks, viaGateway: viaGateway === true, account };
}

/**
 * Is this Internal mail that comes back from the gateway it was sent to (D8)? The mark counts only if a registered hop of the
 * gateway hands the message over, it is there for every recipient, and envelope and header still name nobody but the domain.
 */
export function isReturnedInternal(
  { hopMarks, account }: DataFacts,
  { domains: [domain, ...others], sender, from, recipients }: DataScope,
  { viaGateway }: Notes,
): boolean {
  if (hopMarks === undefined || !viaGateway || account !== undefined) return false;
  if (domain === undefined || others.length > 0) return false;
  return (
    namesOnly(domain.policy.domain, sender, from) &&
    recipients.every(
      ({ recipient }) =>
        recipient.kind === 'mailbox' && hopMarks.isInternal(formatMailbox(recipient.mailbox)),
    )
  );
}

/** Do envelope and header name nobody but the domain? Before the header is seen, pass no addresses. */
export function namesOnly(domain: string, sender: Path, from: readonly Mailbox[] | undefined): boolean {
  return (
    sender.kind === 'mailbox' &&
    sender.mailbox.domain === domain &&
    from?.every((author) => author.domain === domain) === true
  );
}
