import { parsePath } from './mailbox.ts';
import { order } from './order.ts';
import type { Policy } from './policy.ts';
import type { Result } from './run.ts';
import { runStages } from './run.ts';
import { dataScope, rcptScope } from './scope.ts';
import type { DataScope, Notes } from './stage.ts';
import { messageKey } from './stages/message-key.ts';
import { becauseOf, standingOf } from './standing.ts';
import type { ConnectFacts, DataFacts, MailFacts, RcptFacts, Verdict } from './types.ts';
import { accept, settle } from './verdict.ts';

/** What an object in Audit would do is asked of every stage but this one: keys of the two views are never compared. */
const auditedRcpt = order.rcpt.filter((stage) => stage !== messageKey);

// The policy is undefined until a bundle has been loaded: then every stage answers 421.

/** Judges a connection before its banner. */
export function judgeConnect(policy: Policy | undefined, facts: ConnectFacts, draining: boolean): Verdict {
  return settle(runStages(order.connect, facts, { policy, draining }), accept([]));
}

/** Judges MAIL FROM. */
export function judgeMail(policy: Policy | undefined, facts: MailFacts): Verdict {
  if (policy === undefined) return judgeConnect(policy, facts, false);
  return settle(runStages(order.mail, facts, { policy, sender: parsePath(facts.envelopeFrom) }), accept([]));
}

/**
 * Judges one RCPT TO. `need` asks for a look-up: put the answer under its `lookupKey` into the facts and judge again. The
 * `messageKey` of the first recipient that is accepted is the `firstMessageKey` of those that follow in its message.
 */
export function judgeRcpt(policy: Policy | undefined, facts: RcptFacts): Verdict {
  if (policy === undefined) return judgeConnect(policy, facts, false);
  const scope = rcptScope(policy, facts, 'enforced');
  return settle(
    runStages(order.rcpt, facts, scope),
    accept([facts.recipient], () => {
      if (policy.audited.size === 0) return undefined;
      const audited = rcptScope(policy, facts, 'audited');
      return audited.domain === scope.domain ? undefined : runStages(auditedRcpt, facts, audited);
    }),
  );
}

/** Judges a message at end of DATA, for all recipients that were accepted at RCPT: they get one answer. */
export function judgeData(policy: Policy | undefined, facts: DataFacts): Verdict {
  if (policy === undefined) return judgeConnect(policy, facts, false);
  const scope = dataScope(policy, facts, 'enforced');
  const audit = (): Result | undefined => {
    if (policy.audited.size === 0) return undefined;
    const audited = dataScope(policy, facts, 'audited');
    const same = audited.domains.every((domain, i) => domain === scope.domains[i]);
    return same ? undefined : runStages(order.data, facts, audited, peerNotes(facts, audited));
  };
  return settle(
    runStages(order.data, facts, scope, peerNotes(facts, scope)),
    accept(facts.recipients, audit),
  );
}

/** What RCPT noted about the peer; the same for all recipients of a message, by its key. */
function peerNotes({ account, now }: DataFacts, { domains: [domain], peer }: DataScope): Notes {
  if (account !== undefined || domain === undefined || peer === undefined) return {};
  const { allow, viaGateway } = standingOf(domain, peer, now);
  return { viaGateway, ...(allow && !viaGateway && { allowed: becauseOf(allow) }) };
}
