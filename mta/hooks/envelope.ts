import { lookupKey } from '../../policy/lookup.ts';
import { replies } from '../../policy/reply.ts';
import type { Accepted, Needed, RcptFacts, Refused, Verdict } from '../../policy/types.ts';
import { envelopeCommandOf } from '../envelope-command.ts';
import { connectFacts, hostedDomain } from '../facts.ts';
import type { HarakaConnection } from '../haraka.ts';
import { fromTable, type Outcome, refusal, shuttingDown } from '../outcome.ts';
import type { Runtime } from '../runtime.ts';
import { type Envelope, envelopeOf, openEnvelope, type Session, sessionOf } from '../session.ts';

/** Parameters that go with what we advertise: SIZE (RFC 1870, 20 digits at most) and 8BITMIME (RFC 6152). */
const mailParams = [/^SIZE=\d{1,20}$/i, /^BODY=(?:7BIT|8BITMIME)$/i];

/** MAIL FROM. */
export function mail(runtime: Runtime, connection: HarakaConnection): Outcome {
  if (runtime.drain.draining) return shuttingDown;
  const session = sessionOf(connection);
  if (session.listener === 'submission' && session.account === undefined)
    return fromTable('submission', 'authRequired');
  const { path: from, params } = envelopeCommandOf(connection);
  if (!params.every((param) => mailParams.some((known) => known.test(param))))
    return fromTable('sender-form', unsupported(params));
  const size = params.find((param) => /^SIZE=/i.test(param))?.slice('SIZE='.length);
  if (Number(size) > runtime.settings.maxMessageBytes) return fromTable('size', 'tooBig');
  const facts = { ...connectFacts(session, runtime.now()), envelopeFrom: from };
  const verdict = runtime.judge.mail(runtime.bundles.current?.policy, facts);
  if (session.account === undefined) runtime.clusterPeers.note(facts.peer, facts.now);
  if (verdict.verdict === 'reject' || verdict.verdict === 'defer') return refusal(verdict);
  if (connection.transaction === null) throw new Error('MAIL without a transaction');
  // Nothing will be written to Haraka's stream (data-collector.ts), so there is no file that it would have to remove.
  connection.transaction.message_stream.destroy = () => undefined;
  runtime.transactions.open += 1;
  openEnvelope(connection.transaction, {
    from,
    startedAt: Date.now(),
    accepted: [],
    audited: 0,
    refused: [],
    traces: [],
    messageTrace: [],
    lookups: new Map(),
    marked: [],
    headers: [],
  });
  return { kind: 'ok', value: '2.1.0 Sender OK' };
}

/** RCPT TO: the heart of the matter, one verdict for each recipient. */
export function rcpt(runtime: Runtime, connection: HarakaConnection): Outcome | Promise<Outcome> {
  if (runtime.drain.draining) return shuttingDown;
  const { path: recipient, params } = envelopeCommandOf(connection);
  if (params.length > 0) return fromTable('address-form', unsupported(params));
  const session = sessionOf(connection);
  const envelope = envelopeOf(connection);
  const facts: RcptFacts = {
    ...connectFacts(session, runtime.now()),
    envelopeFrom: envelope.from,
    recipient,
    unknownSoFar: session.unknownRecipients,
    ...(envelope.messageKey !== undefined && { firstMessageKey: envelope.messageKey }),
    lookups: envelope.lookups,
    ...accountFacts(runtime, session),
  };
  const verdict = runtime.judge.rcpt(runtime.bundles.current?.policy, facts);
  if (verdict.verdict !== 'need') return answer(runtime, session, envelope, facts, verdict);
  return askAndJudge(runtime, envelope, facts, verdict).then((settled) =>
    answer(runtime, session, envelope, facts, settled),
  );
}

/** Fetches what the policy needs to know, one thing at a time, until it can say. */
async function askAndJudge(
  runtime: Runtime,
  envelope: Envelope,
  facts: RcptFacts,
  first: Needed,
): Promise<Accepted | Refused> {
  let verdict: Verdict = first;
  while (verdict.verdict === 'need') {
    if (verdict.lookup.kind !== 'recipient') throw new Error('the policy asks about a message at RCPT');
    const key = lookupKey(verdict.lookup);
    if (envelope.lookups.has(key)) throw new Error(`the policy asked twice for ${key}`);
    envelope.lookups.set(key, await runtime.lookUp(verdict.lookup));
    verdict = runtime.judge.rcpt(runtime.bundles.current?.policy, facts);
  }
  return verdict;
}

function answer(
  runtime: Runtime,
  session: Session,
  envelope: Envelope,
  facts: RcptFacts,
  verdict: Accepted | Refused,
): Outcome {
  const domain = hostedDomain(runtime.bundles.current, facts.recipient);
  runtime.metrics.verdict(domain, verdict.because, verdict.verdict, 'recipient');
  runtime.hits.note(verdict.because, facts.now);
  envelope.traces.push({ recipient: facts.recipient, steps: verdict.trace });
  if (verdict.verdict === 'accept') {
    if (session.account !== undefined) runtime.usage.add(session.account.name, facts.now);
    envelope.messageKey ??= verdict.messageKey;
    envelope.accepted.push(facts.recipient);
    for (const { because } of verdict.audited) runtime.metrics.auditedRefusal(domain, because);
    if (verdict.audited.length > 0) envelope.audited += 1;
    return { kind: 'ok', value: '2.1.5 Recipient OK' };
  }
  envelope.refused.push({
    recipient: facts.recipient,
    reply: verdict.reply,
    ref: verdict.ref,
    because: verdict.because,
  });
  if (verdict.reply.enhanced === replies.unknownRecipient.enhanced) session.unknownRecipients += 1;
  recordRefusal(runtime, facts, envelope, verdict);
  return refusal(verdict);
}

/** Keeps a refusal for `postern blocks`. */
export function recordRefusal(
  runtime: Runtime,
  facts: { now: number; peer: string; recipient?: string },
  envelope: Envelope,
  { reply, ref, because }: Refused,
): void {
  const { now: time, peer, recipient = '' } = facts;
  runtime.refusals.add({ time, peer, mailFrom: envelope.from, recipient, reply, ref, because });
}

function accountFacts({ usage, now }: Runtime, { account }: Session): Pick<RcptFacts, 'accountRecipients'> {
  return account === undefined ? {} : { accountRecipients: usage.recipients(account.name, now()) };
}

/** G11: NOTIFY and the like belong to extensions that are not offered; everything else is RFC 5321 4.1.1.11. */
function unsupported(params: readonly string[]): 'dsnParameters' | 'parameters' {
  return params.some((param) => /^(?:NOTIFY|ORCPT|RET|ENVID)(?:=|$)/i.test(param))
    ? 'dsnParameters'
    : 'parameters';
}
