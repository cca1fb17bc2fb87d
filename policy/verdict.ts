import { refOf } from './ref.ts';
import { type ReplyCase, replies } from './reply.ts';
import type { Result } from './run.ts';
import type { Accepted, Because, Refused, Reply, Verdict } from './types.ts';

/** Makes the verdict of stages that came to their end. */
export type Accept = (result: Result) => Accepted;

/** The verdict of a run: what stopped it, or `accepted` if nothing did. */
export function settle(result: Result, accepted: Accept): Verdict {
  const { end, trace } = result;
  if (end === undefined) return accepted(result);
  if (end.outcome === 'need') return { verdict: 'need', lookup: end.lookup, trace };
  return refused(end.reply, end.because, trace);
}

function refused(reply: ReplyCase, because: Because, trace: Refused['trace']): Refused {
  const { code } = replies[reply];
  return {
    verdict: code < 500 ? 'defer' : 'reject',
    reply: replyOf(reply),
    because,
    ref: refOf(because),
    disconnect: 'disconnect' in replies[reply],
    trace,
  };
}

/**
 * @param recipients as given in the facts: one list of legs was noted for each.
 * @param audit runs the same stages on the audited view; undefined where it is the enforced one.
 */
export function accept(recipients: readonly string[], audit?: () => Result | undefined): Accept {
  return ({ notes, trace }) => {
    const { legs = [], marked = [] } = notes;
    const would = audit?.()?.end;
    const accepted: Accepted = {
      verdict: 'accept',
      messageKey: notes.messageKey ?? '',
      legs: joined(legs),
      recipients: recipients.map((recipient, i) => ({ recipient, legs: legs[i] ?? [] })),
      junk: notes.junk ?? new Map(),
      marked: joined(marked),
      headers: notes.headers ?? [],
      allowed: notes.allowed !== undefined,
      audited: would?.outcome === 'reject' ? [{ reply: replyOf(would.reply), because: would.because }] : [],
      trace,
    };
    return notes.allowed === undefined ? accepted : { ...accepted, because: notes.allowed };
  };
}

/** Most messages have one recipient. */
function joined<T>(lists: readonly (readonly T[])[]): readonly T[] {
  return lists.length > 1 ? lists.flat() : (lists[0] ?? []);
}

function replyOf(name: ReplyCase): Reply {
  const { code, enhanced, text } = replies[name];
  return { code, enhanced, text };
}
