import type {
  AuthenticatedAccount,
  Because,
  HeaderField,
  LookupAnswer,
  MarkedLeg,
  Reply,
  TraceStep,
} from '../policy/types.ts';
import type { Exchange } from './auth/exchange.ts';
import type { HarakaConnection, HarakaTransaction } from './haraka.ts';
import type { Message } from './message.ts';

/** What Postern knows of a connection. Not in Haraka's notes: those end up in queue files. */
export interface Session {
  readonly connection: HarakaConnection;
  /** Which listener took it. */
  readonly listener: 'smtp' | 'submission';
  /** The name of this MTA. */
  readonly heloName: string;
  /** Recipients refused as unknown so far (I15). */
  unknownRecipients: number;
  account?: AuthenticatedAccount;
  /** An AUTH that waits for the client's next line. */
  exchange?: Exchange;
  failedAuthentications: number;
  /** A message is on its way in (354 was sent) or being filed: a drain waits for it. */
  receiving: boolean;
}

/** A recipient that was refused. */
interface RefusedRecipient {
  readonly recipient: string;
  readonly reply: Reply;
  readonly ref: string;
  readonly because: Because;
}

/** How a recipient was judged at RCPT. */
interface RecipientTrace {
  readonly recipient: string;
  readonly steps: readonly TraceStep[];
}

/** What Postern knows of one mail transaction. */
export interface Envelope {
  /** Path of MAIL FROM without brackets. */
  readonly from: string;
  readonly startedAt: number;
  /** Recipients as the client wrote them. */
  readonly accepted: string[];
  /** How many of them an object in Audit would have refused at RCPT. */
  audited: number;
  readonly refused: RefusedRecipient[];
  /** One for each recipient that was judged, in order. */
  readonly traces: RecipientTrace[];
  /** How the message was judged at the end of DATA, and what decided; empty before. */
  messageTrace: readonly TraceStep[];
  because?: Because | undefined;
  /** What was asked of others for these recipients. */
  readonly lookups: Map<string, LookupAnswer>;
  /** Where the message goes and what is written into it, decided at end of DATA. */
  marked: readonly MarkedLeg[];
  headers: readonly HeaderField[];
  /** Of the first accepted recipient (G8). */
  messageKey?: string;
  message?: Message;
  /** How the transaction ended, for the log; the reference is in the text. */
  outcome?: Reply;
}

// Properties of Haraka's objects: they are asked for with each line of a message, where a WeakMap costs more than what is in it.

export function openSession(session: Session): void {
  session.connection.postern = session;
}

/** @throws Error if `connect_init` has not run: then nothing may be accepted from this connection. */
export function sessionOf(connection: HarakaConnection): Session {
  const session = findSession(connection);
  if (session === undefined) throw new Error(`connection ${connection.uuid} has no session`);
  return session;
}

/** The session if there is one: a connection that ends before its PROXY line has none. */
export function findSession({ postern }: HarakaConnection): Session | undefined {
  return postern;
}

export function openEnvelope(transaction: HarakaTransaction, envelope: Envelope): void {
  transaction.postern = envelope;
}

/** @throws Error if the MAIL command has not been judged. */
export function envelopeOf(connection: HarakaConnection): Envelope {
  const envelope = findEnvelope(connection);
  if (envelope === undefined) throw new Error(`connection ${connection.uuid} has no envelope`);
  return envelope;
}

/** The envelope if there is one: for places that run at the end of every transaction. */
export function findEnvelope({ transaction }: HarakaConnection): Envelope | undefined {
  return transaction?.postern;
}
