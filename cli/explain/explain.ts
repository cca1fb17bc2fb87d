import { judgeConnect, judgeData, judgeMail, judgeRcpt } from '../../policy/judge.ts';
import type { Policy } from '../../policy/load.ts';
import { lookupKey } from '../../policy/lookup.ts';
import { replyLine } from '../../policy/reply.ts';
import { type Signing, signingOf } from '../../policy/signer.ts';
import type {
  Accepted,
  AuthenticatedAccount,
  DataFacts,
  LookupAnswer,
  RecipientLookup,
  Refused,
  Reply,
  TraceStep,
  Verdict,
} from '../../policy/types.ts';

/** The client of a session, as the MTA would see it. */
export interface Client {
  /** Address of the peer, PROXY already applied. */
  readonly peer: string;
  readonly tls: boolean;
  readonly account?: AuthenticatedAccount;
  /** Seconds since the epoch. */
  readonly now: number;
}

export interface Transaction {
  /** Path of MAIL FROM without brackets; empty for the null sender. */
  readonly envelopeFrom: string;
  readonly recipients: readonly string[];
  /** What end of DATA is judged by; without it the judgement ends at RCPT. */
  readonly message?: Pick<DataFacts, 'headers' | 'size' | 'smuggling' | 'hopMarks'>;
  /** The name of this MTA, by which it knows its own Received lines. */
  readonly heloName: string;
}

/** What a session remembers from one transaction to the next. */
export interface SessionMemory {
  readonly unknownSoFar: number;
  /** Set when a reply closed the connection: nothing after it is judged. */
  readonly closed: boolean;
}

export const newSession: SessionMemory = { unknownSoFar: 0, closed: false };

export type Decided = Accepted | Refused;

export interface RecipientVerdict {
  readonly address: string;
  readonly verdict: Decided;
  readonly trace: readonly TraceStep[];
}

export interface Explanation {
  readonly recipients: readonly RecipientVerdict[];
  /** Of the message; without one, of a message whose From is its envelope sender. */
  readonly signing: Signing;
  readonly memory: SessionMemory;
}

/** Answers a question that only the outside can answer: the Route that would be asked, say. */
export type Answer = (lookup: RecipientLookup) => LookupAnswer;

/**
 * Judges one transaction as the MTA judges it: the same functions in the same order, stage by stage, with what the session
 * remembers in between. No socket is opened.
 *
 * @returns one verdict for each recipient, in order. A refusal at connect or MAIL is the verdict of all, one at the end of DATA
 * that of all recipients that were accepted before it.
 */
export function explainTransaction(
  policy: Policy,
  client: Client,
  transaction: Transaction,
  memory: SessionMemory,
  answer: Answer,
): Explanation {
  const { envelopeFrom, recipients, message, heloName } = transaction;
  const signing = signingOf(policy, client.account, message?.headers ?? [['From', envelopeFrom]]);
  const lookups = new Map<string, LookupAnswer>();
  const decide = (judge: () => Verdict): Accepted | Refused => decideWithLookups(judge, lookups, answer);

  const before: TraceStep[] = [];
  for (const judge of [
    () => judgeConnect(policy, client, false),
    () => judgeMail(policy, { ...client, envelopeFrom }),
  ]) {
    const verdict = decide(judge);
    before.push(...verdict.trace);
    if (verdict.verdict !== 'accept') return { ...refuseAll(recipients, verdict, before, memory), signing };
  }

  let { unknownSoFar, closed } = memory;
  let firstMessageKey: string | undefined;
  const verdicts: RecipientVerdict[] = [];
  for (const address of recipients) {
    if (closed) break;
    const facts = {
      ...client,
      envelopeFrom,
      recipient: address,
      unknownSoFar,
      lookups,
      ...(firstMessageKey === undefined ? {} : { firstMessageKey }),
    };
    const verdict = decide(() => judgeRcpt(policy, facts));
    verdicts.push({ address, verdict, trace: [...before, ...verdict.trace] });
    if (verdict.verdict === 'accept') firstMessageKey ??= verdict.messageKey;
    else {
      if (verdict.reply.enhanced === '5.1.1') unknownSoFar += 1;
      closed = verdict.disconnect;
    }
  }

  const accepted = verdicts
    .filter(({ verdict }) => verdict.verdict === 'accept')
    .map(({ address }) => address);
  if (message === undefined || accepted.length === 0 || closed) {
    const guess = message === undefined && client.account !== undefined ? [signingStep(signing)] : [];
    const told = verdicts.map((each) =>
      each.verdict.verdict === 'accept' ? { ...each, trace: [...each.trace, ...guess] } : each,
    );
    return { recipients: told, signing, memory: { unknownSoFar, closed } };
  }
  // Name servers and filters see live messages only. The trace says so where a stage would have asked.
  const unasked = { authentication: 'notAsked', contentFilter: 'notAsked' } as const;
  const facts = { ...client, envelopeFrom, recipients: accepted, lookups, heloName, ...message, ...unasked };
  const end = decide(() => judgeData(policy, facts));
  return {
    recipients: judgedAtEnd(verdicts, end),
    signing,
    memory: { unknownSoFar, closed: end.verdict !== 'accept' && end.disconnect },
  };
}

/** What the end of DATA would say of signatures, for a message that is not there. */
function signingStep({ signers, detail }: Signing): TraceStep {
  const outcome = signers.length > 0 ? 'note' : 'skip';
  return { stage: 'signing', outcome, detail: `${detail} (if From is the sender)` };
}

function refuseAll(
  recipients: readonly string[],
  verdict: Refused,
  trace: readonly TraceStep[],
  memory: SessionMemory,
): Omit<Explanation, 'signing'> {
  return {
    recipients: recipients.map((address) => ({ address, verdict, trace })),
    memory: { ...memory, closed: verdict.disconnect },
  };
}

/** The reply line as it comes over the wire, to RCPT or to the end of DATA. */
export function lineOf(verdict: Decided): string {
  if (verdict.verdict === 'accept')
    return `${acceptedReply.code} ${acceptedReply.enhanced} ${acceptedReply.text}`;
  return replyLine(verdict);
}

/** The reply to an accepted RCPT. */
export const acceptedReply: Reply = { code: 250, enhanced: '2.1.5', text: 'Recipient OK' };

/** The end of DATA has one answer for all that were accepted, and knows best where their mail goes. */
function judgedAtEnd(
  verdicts: readonly RecipientVerdict[],
  end: Accepted | Refused,
): readonly RecipientVerdict[] {
  let position = 0;
  return verdicts.map((each) => {
    if (each.verdict.verdict !== 'accept') return each;
    const trace = [...each.trace, ...end.trace];
    if (end.verdict !== 'accept') return { ...each, verdict: end, trace };
    const legs = end.recipients[position]?.legs ?? each.verdict.legs;
    position += 1;
    return { ...each, verdict: { ...each.verdict, legs }, trace };
  });
}

/** A stage asks one question at a time; more than this many means that it does not take the answer. */
const maxLookups = 8;

function decideWithLookups(
  judge: () => Verdict,
  lookups: Map<string, LookupAnswer>,
  answer: Answer,
): Accepted | Refused {
  for (let asked = 0; asked <= maxLookups; asked += 1) {
    const verdict = judge();
    if (verdict.verdict !== 'need') return verdict;
    if (verdict.lookup.kind !== 'recipient') break;
    lookups.set(lookupKey(verdict.lookup), answer(verdict.lookup));
  }
  throw new Error('the decision engine keeps asking for look-ups: this is a defect, please report it');
}
