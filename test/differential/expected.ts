import {
  explainTransaction,
  lineOf,
  newSession,
  type RecipientVerdict,
  type SessionMemory,
} from '../../cli/explain/explain.ts';
import { readMessage } from '../../cli/explain/message.ts';
import type { Policy } from '../../policy/load.ts';
import { type LiveAnswers, notAsked } from './live.ts';
import type { CaseSession } from './sessions.ts';

export interface ExplainedSession {
  readonly answers: LiveAnswers;
  /** The verdicts behind them, to show when the two disagree. */
  readonly verdicts: readonly (readonly RecipientVerdict[])[];
}

/** What `explain` says of the same session, in the words of the wire. @param now seconds since the epoch. */
export function explainSession(
  policy: Policy,
  session: CaseSession,
  heloName: string,
  now: number,
): ExplainedSession {
  const { peer, tls, transactions } = session;
  let memory: SessionMemory = newSession;
  const verdicts: (readonly RecipientVerdict[])[] = [];
  const answers = transactions.map(({ envelopeFrom, recipients, message }) => {
    if (memory.closed) {
      verdicts.push([]);
      return recipients.map(() => notAsked);
    }
    const explained = explainTransaction(
      policy,
      { peer, tls, now },
      {
        envelopeFrom,
        recipients,
        heloName,
        ...(message === undefined ? {} : { message: readMessage(Buffer.from(message)) }),
      },
      memory,
      // Nobody serves the Routes of these worlds.
      () => 'unavailable',
    );
    memory = explained.memory;
    verdicts.push(explained.recipients);
    return recipients.map((_, position) => answerTo(explained.recipients[position]));
  });
  return { answers, verdicts };
}

function answerTo(recipient: RecipientVerdict | undefined): string {
  return recipient === undefined ? notAsked : lineOf(recipient.verdict);
}
