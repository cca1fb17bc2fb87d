import * as z from 'zod';
import { sourceRef } from './source.ts';

/** Mail between a hosted domain and a peer, whose TlsPolicies also count for another leg of that mail. */
const inheritedTls = z.strictObject({
  domain: z.string(),
  direction: z.enum(['Inbound', 'Outbound']),
  peer: z.string(),
});
export type InheritedTls = z.infer<typeof inheritedTls>;

/**
 * One recipient on its way to one destination. Names only, never addresses or credentials: a leg lies in the queue file and
 * its Route is resolved at every attempt.
 */
export const leg = z.strictObject({
  /** The hosted domain on whose behalf the leg exists. */
  domain: z.string(),
  /** Envelope recipient at the destination (a Junk subaddress already in it). */
  recipient: z.string(),
  hop: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('Maildir') }),
    z.strictObject({ kind: z.literal('Route'), route: z.string() }),
    z.strictObject({ kind: z.literal('Mx') }),
  ]),
  purpose: z.enum(['Mailbox', 'Routed', 'Copy', 'Gateway', 'Outbound']),
  onFailure: z.enum(['Dsn', 'Ledger']),
  /** Which count of the ledger a failure goes to, if no DSN is sent because nobody knows whose mail it is (G9). */
  ledgerEntry: z.literal('backscatterAvoided').optional(),
  /** TLS that was asked for elsewhere and holds on this way too, beside what the leg's own domain asks of its recipient (T14). */
  tlsOf: z.array(inheritedTls).optional(),
  because: sourceRef,
});
export type Leg = z.infer<typeof leg>;
