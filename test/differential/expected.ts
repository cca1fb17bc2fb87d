import {
  explainTransaction,
  lineOf,
  newSession,
  type RecipientVerdict,
  type SessionMemory,
} from '../../cli/explain/explain.ts';
import { verifyMarks } from '../../cli/explain/hop-marks.ts';
import { readMessage } from '../../cli/explain/message.ts';
import type { Policy } from '../../policy/load.ts';
import { type LiveAnswers, notAsked } from './live.ts';
import type { CaseSession } from './sessions.ts';

export interface ExplainedSession {
  readonly answers: LiveAnswers;
  /** The verdicts behind them, to show when the two disagree. */
  readonly verdicts: readonly (readonly RecipientVerdict[])[];
}

/** What `explain` says of the same session, in the words of the wire. @param facts.now seconds since the epoch. */
export function explainSession(
  policy: Policy,
  session: CaseSession,
  { heloName, hopKey, now }: { readonly heloName: string; readonly hopKey: string; readonly now: number },
): ExplainedSession {
  const { peer, tls, transactions, account } = session;
  const client = {
    peer,
    tls,
    now,
    ...(account && { account: { ...account, domain: account.name.split('@')[1] ?? '' } }),
  };
  let memory: SessionMemory = newSession;
  const verdicts: (readonly RecipientVerdict[])[] = [];
  const answers = transactions.map(({ envelopeFrom, recipients, message }) => {
    if (memory.closed) {
      verdicts.push([]);
      return recipients.map(() => notAsked);
    }
    const explained = explainTransaction(
      policy,
      client,
      {
        envelopeFrom,
        recipients,
        heloName,
        ...(message === undefined
          ? {}
          : verifyMarks(readMessage(Buffer.from(message)), { key: hopKey, envelopeFrom, recipients, now })),
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
