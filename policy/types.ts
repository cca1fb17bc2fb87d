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

/** Does a Route know this recipient? */
export interface RecipientLookup {
  readonly kind: 'recipient';
  readonly route: string;
  readonly recipient: string;
}

/** What do SPF, DKIM, DMARC and ARC say of the message? The answer goes into `DataFacts.authentication`. */
export interface AuthenticationLookup {
  readonly kind: 'authentication';
  /** Address of the client whose mail it is, as text; absent if nobody knows it: then SPF is `none`. */
  readonly client?: string;
}

/** What does the content filter say of the message? The answer goes into `DataFacts.contentFilter`. */
export interface ContentFilterLookup {
  readonly kind: 'contentFilter';
  /** Of the normal worker of an rspamd. */
  readonly url: string;
  /** As in AuthenticationLookup. */
  readonly client?: string;
}

/** Something a stage wants to know that only the outside can tell. Fetched by the MTA (or given on the command line). */
export type Lookup = RecipientLookup | AuthenticationLookup | ContentFilterLookup;

/** The answers to recipient look-ups that have been made so far, by `lookupKey`. */
export type LookupAnswer = 'known' | 'unknown' | 'unavailable';

/** Nobody was asked, and nobody will be: what `postern explain` says of things that only a live message shows. */
type NotAsked = 'notAsked';

/** Results of SPF and DKIM (RFC 8601 section 2.7). */
export type AuthenticationResult =
  | 'none'
  | 'pass'
  | 'fail'
  | 'softfail'
  | 'neutral'
  | 'policy'
  | 'temperror'
  | 'permerror';

export type DmarcPolicy = 'none' | 'quarantine' | 'reject';

/** What the four methods found. Names and addresses in it come from the message: whoever writes them out looks at them first. */
export interface Authentication {
  readonly spf: {
    readonly result: AuthenticationResult;
    /** The address or name that was checked: MAIL FROM, or the name of EHLO for the null sender. */
    readonly identity?: { readonly property: 'mailfrom' | 'helo'; readonly value: string };
  };
  /** One for each signature that was looked at. */
  readonly dkim: readonly {
    readonly result: AuthenticationResult;
    readonly domain: string;
    readonly selector: string;
  }[];
  readonly dmarc: {
    readonly result: AuthenticationResult;
    /** The From domain. */
    readonly from?: string;
    /** What its owner asks for where the result is `fail`: p, sp or np, one level less with t=y. */
    readonly policy?: DmarcPolicy;
  };
  readonly arc: {
    readonly result: 'none' | 'pass' | 'fail';
    /** Domain of the newest seal. */
    readonly sealer?: string;
    /** The DMARC result that the newest sealer has recorded. */
    readonly recordedDmarc?: string;
  };
}

/** What a content filter said, or that it said nothing in time. */
export type FilterAnswer =
  | {
      readonly kind: 'answer';
      readonly action: string;
      readonly score: number;
      /** Names of the rules that matched. */
      readonly symbols: readonly string[];
    }
  | { readonly kind: 'unavailable'; readonly problem: string };

/**
 * The keyed marks in a message that this MTA (any pod of it) has put there, verified: nobody else can make one. They hold for
 * this message only, by its Message-ID.
 */
export interface HopMarks {
  /** Has the mail of this recipient been sent to this Route already (G10)? */
  readonly hasVisited: (route: string, recipient: string) => boolean;
  /** Was it sent to a gateway as Internal mail of this recipient, no more than 24 hours ago (D8)? */
  readonly isInternal: (recipient: string) => boolean;
}

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
  /** Recipients that the account has sent to within the last hour, as far as this MTA knows; none if absent (P7). */
  readonly accountRecipients?: number;
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
  /** Absent: there are none, or nobody can verify them. */
  readonly hopMarks?: HopMarks;
  /** Octets of the message as it will be relayed. */
  readonly size: number;
  /** What the scanner of the bytes saw: bare CR, bare LF or NUL (G20). */
  readonly smuggling: 'none' | 'bareCr' | 'bareLf' | 'nul';
  /** Absent until a stage has asked for it. */
  readonly authentication?: Authentication | NotAsked;
  /** Absent until a stage has asked for it. */
  readonly contentFilter?: FilterAnswer | NotAsked;
}

/** A header field that Postern writes: name, and value without line breaks but folded where it is long. */
export type HeaderField = readonly [name: string, value: string];

/** A leg, and what is special about its copy of the message. */
export interface MarkedLeg {
  readonly leg: Leg;
  /** Written above everything that all copies have. */
  readonly headers: readonly HeaderField[];
  /** Folder of a Maildir; absent: the inbox. */
  readonly folder?: string;
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
  /** Why mail of a recipient domain (canonical name) goes to Junk; without an entry it goes to the Inbox. */
  readonly junk: ReadonlyMap<string, Because>;
  /** At end of DATA: the same legs, in order, with what goes into their copies. */
  readonly marked: readonly MarkedLeg[];
  /** At end of DATA: header fields on top of every copy. */
  readonly headers: readonly HeaderField[];
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
