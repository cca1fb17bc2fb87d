import type { Leg } from '../bundle/leg.ts';
import type { SourceRef } from '../bundle/source.ts';

/** An SMTP reply with its enhanced status code (RFC 3463). */
export interface Reply {
  readonly code: number;
  /** `5.7.1` */
  readonly enhanced: string;
  /** Text for people, without the code and without the `(ref ...)`. One line, printable ASCII. */
  readonly text: string;
}

/** What decided: an object (with the entry or field in it), or Postern's own rule where no object is involved. */
export interface Because {
  readonly kind: SourceRef['kind'] | 'Postern';
  readonly name: string;
  readonly generation: number;
  /** The list entry, rule or field that matched: `192.0.2.0/24`, `spec.recipients`, `relay`. */
  readonly entry: string;
}

/** One line of the trace: every stage that was asked, in order, and what it found. */
export interface TraceStep {
  readonly stage: string;
  readonly outcome: 'pass' | 'note' | 'reject' | 'need' | 'skip';
  readonly detail: string;
  readonly because?: Because;
}

/** Something a stage wants to know that only the outside can tell. Fetched by the MTA (or given on the command line). */
export type Lookup = { readonly kind: 'recipient'; readonly route: string; readonly recipient: string };

/** The answers to look-ups that have been made so far, by `lookupKey`. */
export type LookupAnswer = 'known' | 'unknown' | 'unavailable';

/** The client as the connection shows it. */
export interface ConnectFacts {
  /** Seconds since the epoch. */
  readonly now: number;
  /** Peer address as text; PROXY already applied by whoever is allowed to. */
  readonly peer: string;
  readonly tls: boolean;
  /** Set on submission listeners after AUTH. */
  readonly account?: AuthenticatedAccount;
}

export interface AuthenticatedAccount {
  readonly name: string;
  readonly domain: string;
  readonly kind: 'User' | 'Relay';
  readonly sendAs: readonly string[];
  readonly fromRoute?: string;
}

export interface MailFacts extends ConnectFacts {
  /** Path of MAIL FROM without brackets; empty for the null sender. */
  readonly envelopeFrom: string;
}

export interface RcptFacts extends MailFacts {
  /** Path of RCPT TO as the client sent it, without brackets, source route and all. */
  readonly recipient: string;
  /** Unknown recipients already refused in this connection (I15). */
  readonly unknownSoFar: number;
  /** The message key of the first accepted recipient of this message; absent for the first (G8). */
  readonly firstMessageKey?: string;
  readonly lookups: ReadonlyMap<string, LookupAnswer>;
}

export interface DataFacts extends MailFacts {
  /** The recipients accepted at RCPT, in order. */
  readonly recipients: readonly string[];
  /** The answers that were used at RCPT: the legs are decided again at end of DATA, now that the header is known. */
  readonly lookups: ReadonlyMap<string, LookupAnswer>;
  /** The name that this MTA writes after `by` in its Received lines: how it knows its own (G10). */
  readonly heloName: string;
  /**
   * Header lines as the client sent them, unfolded, in order: name as written and value (RFC 5322). The Received line that
   * this MTA adds now is not among them.
   */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Octets of the message as it will be relayed. */
  readonly size: number;
  /** What the scanner of the bytes saw: bare CR, bare LF or NUL (G20). */
  readonly smuggling: 'none' | 'bareCr' | 'bareLf' | 'nul';
}

/** What one accepted recipient turns into. */
interface RecipientLegs {
  /** As given in the facts. */
  readonly recipient: string;
  readonly legs: readonly Leg[];
}

interface Judged {
  readonly trace: readonly TraceStep[];
}

export interface Accepted extends Judged {
  readonly verdict: 'accept';
  /** The object that decided in the client's favour (an allow entry), if one did. */
  readonly because?: Because;
  /** Settings that end-of-DATA stages will read; recipients of one message must agree in it (G8). */
  readonly messageKey: string;
  /** Where the mail will go: of this recipient (RCPT), of all of them (end of DATA). Empty at stages before RCPT. */
  readonly legs: readonly Leg[];
  /** The same legs for each recipient, in the order of the facts. */
  readonly recipients: readonly RecipientLegs[];
  /** True if an allow entry matched: the spam judgements are skipped (A6). */
  readonly allowed: boolean;
  /** What an object in Audit would have refused (G15). */
  readonly audited: readonly { readonly reply: Reply; readonly because: Because }[];
}

export interface Refused extends Judged {
  /** 5xx or 4xx. */
  readonly verdict: 'reject' | 'defer';
  readonly reply: Reply;
  readonly because: Because;
  /** Eight characters of Crockford base32: object digest, entry digest (B7). */
  readonly ref: string;
  /** The connection is to be closed after the reply (421). */
  readonly disconnect: boolean;
}

export interface Needed extends Judged {
  readonly verdict: 'need';
  readonly lookup: Lookup;
}

export type Verdict = Accepted | Refused | Needed;
