import { isForeign, type OwnFields } from '../../policy/foreign.ts';
import type { Policy } from '../../policy/load.ts';
import type { Accepted, Because, DataFacts, MarkedLeg, Refused } from '../../policy/types.ts';
import { dataFacts, hostedDomain } from '../facts.ts';
import type { Deadline } from '../guard.ts';
import type { HarakaConnection } from '../haraka.ts';
import { askAboutMessage } from '../lookups/ask.ts';
import { markCopies } from '../marked-copies.ts';
import { headerBlock, Message } from '../message.ts';
import { queueAddress } from '../outbound/queue-address.ts';
import { fromTable, type Outcome, proceed, refusal, refuse, shuttingDown } from '../outcome.ts';
import { receivedLine } from '../received-line.ts';
import type { Runtime } from '../runtime.ts';
import { type Envelope, envelopeOf, findEnvelope, type Session, sessionOf } from '../session.ts';
import { finishMessage } from '../signer/submission.ts';
import { logTransaction } from '../transaction-log.ts';
import { recordRefusal } from './envelope.ts';

/** DATA: from here on a drain waits for this session. */
export function data(runtime: Runtime, connection: HarakaConnection): Outcome {
  if (runtime.drain.draining) return shuttingDown;
  envelopeOf(connection).message = new Message(runtime.settings.maxMessageBytes);
  sessionOf(connection).receiving = true;
  return proceed;
}

/** End of DATA: one answer for all recipients. */
export function dataPost(runtime: Runtime, connection: HarakaConnection): Outcome | Promise<Outcome> {
  const envelope = envelopeOf(connection);
  const message = requireMessage(envelope);
  // G12: 552, not the 550 of Haraka.
  if (message.tooLarge || message.headerTooLarge) return ended(envelope, fromTable('size', 'tooBig'));
  message.scanForNul();
  return judgeMessage(runtime, sessionOf(connection), envelope, message);
}

/** Asks the policy about the whole message. Also called in the middle of DATA, for a line that ends in a bare LF. */
export function judgeMessage(
  runtime: Runtime,
  session: Session,
  envelope: Envelope,
  message: Message,
): Outcome | Promise<Outcome> {
  const facts = dataFacts(session, envelope, message, {
    now: runtime.now(),
    hopKey: runtime.bundles.current?.secrets.hopKey,
  });
  const verdict = runtime.judge.data(runtime.bundles.current?.policy, facts);
  if (verdict.verdict !== 'need') return settle(runtime, envelope, facts, verdict);
  return askAboutMessage(runtime, session, { facts, message, first: verdict }).then((settled) =>
    settle(runtime, envelope, facts, settled),
  );
}

function settle(
  runtime: Runtime,
  envelope: Envelope,
  facts: DataFacts,
  verdict: Accepted | Refused,
): Outcome {
  envelope.messageTrace = verdict.trace;
  envelope.because = verdict.because;
  const domains = domainsOf(runtime, envelope);
  if (verdict.verdict === 'accept') {
    for (const domain of domains) runtime.metrics.verdict(domain, verdict.because, 'accept', 'message');
    runtime.hits.note(behindGateway(verdict), facts.now);
    envelope.marked = distinct(verdict.marked);
    envelope.headers = verdict.headers;
    countAudited(runtime, envelope, verdict, domains);
    return proceed;
  }
  for (const domain of domains) runtime.metrics.verdict(domain, verdict.because, verdict.verdict, 'message');
  runtime.hits.note(verdict.because, facts.now);
  recordRefusal(runtime, facts, envelope, verdict);
  return ended(envelope, refusal(verdict));
}

/** What RCPT would have refused does not come to the end of DATA, so it counts once. */
function countAudited(
  { metrics }: Runtime,
  { accepted, audited }: Envelope,
  verdict: Accepted,
  domains: ReadonlySet<string>,
): void {
  if (audited === accepted.length) return;
  for (const { because } of verdict.audited) {
    for (const domain of domains) metrics.auditedRefusal(domain, because);
  }
}

/** Hosted domains of the accepted recipients. */
function domainsOf({ bundles }: Runtime, { accepted }: Envelope): ReadonlySet<string> {
  return new Set(accepted.map((recipient) => hostedDomain(bundles.current, recipient)));
}

/** The allow entry that holds the original client: of the peer RCPT has taken note. */
function behindGateway({ trace }: Accepted): Because | undefined {
  const step = trace.find(({ stage }) => stage === 'client-access');
  return step?.because;
}

/** Files the message; only then it is answered 250. */
export async function queue(
  runtime: Runtime,
  connection: HarakaConnection,
  deadline: Deadline,
): Promise<Outcome> {
  const envelope = envelopeOf(connection);
  const { transaction } = connection;
  if (transaction === null) throw new Error('nothing to queue');
  const { marked, headers } = envelope;
  if (marked.length === 0) throw new Error('accepted recipients without a destination');
  const policy = runtime.bundles.current?.policy;
  const own = ownFields(policy, marked, runtime.settings.heloName);
  const sent = requireMessage(envelope).toWire((name, value) => isForeign(name, value, own));
  const finished = await finish(runtime, sessionOf(connection), envelope, { sent, id: transaction.uuid });
  if ('missing' in finished) return ended(envelope, unsigned(runtime, finished.missing));
  const received = receivedLine(connection, {
    heloName: runtime.settings.heloName,
    id: transaction.uuid,
    envelopeFrom: envelope.from,
    now: runtime.now(),
  });
  const wire = Buffer.concat([headerBlock([...headers, ['Received', received]]), finished.wire]);
  const copies = markCopies({
    marked,
    envelopeFrom: envelope.from,
    received: requireMessage(envelope).headers(),
    wire,
    hopKey: runtime.bundles.current?.secrets.hopKey,
    now: runtime.now(),
  });
  await runtime.store.file(
    { id: transaction.uuid, from: queueAddress(envelope.from), marked: copies, wire, policy },
    deadline,
  );
  runtime.metrics.legsFiled(
    'accepted',
    marked.map(({ leg }) => leg),
  );
  envelope.outcome = { code: 250, enhanced: '2.0.0', text: 'Accepted' };
  return { kind: 'ok', value: '2.0.0 Accepted' };
}

function finish(
  { bundles, signingKeys: keys, now }: Runtime,
  { account, heloName }: Session,
  envelope: Envelope,
  { sent, id }: { sent: Buffer; id: string },
) {
  const headers = requireMessage(envelope).headers();
  return finishMessage(sent, { account, headers, loaded: bundles.current, keys, id, heloName, now: now() });
}

/** X9: the policy says that this mail is signed, and this process cannot: it is not taken, rather than sent unsigned. */
function unsigned(runtime: Runtime, missing: readonly string[]): Outcome {
  runtime.log.error({ event: 'signing', missing }, 'mail is deferred: its DKIM key is not here');
  return refuse(451, '4.3.0', 'The signing key is not available, try again later');
}

/** The end of every transaction, whatever ended it: one log line, and a draining process lets the session go. */
export function resetTransaction(runtime: Runtime, connection: HarakaConnection): Outcome {
  const session = sessionOf(connection);
  session.receiving = false;
  const envelope = findEnvelope(connection);
  if (envelope !== undefined) {
    runtime.transactions.open -= 1;
    logTransaction(runtime, session, envelope);
  }
  if (runtime.drain.draining) setImmediate(() => runtime.drain.release(session));
  return proceed;
}

function requireMessage({ message }: Envelope): Message {
  if (message === undefined) throw new Error('no message was received');
  return message;
}

/** A recipient that was named twice gets one copy. */
function distinct(marked: readonly MarkedLeg[]): MarkedLeg[] {
  if (marked.length === 1) return [...marked];
  const byPlace = marked.map(
    (one) =>
      [JSON.stringify([one.leg.domain, one.leg.recipient, one.leg.hop, one.leg.purpose]), one] as const,
  );
  return [...new Map(byPlace).values()];
}

/** What only we may have written, into mail for these legs. */
function ownFields(policy: Policy | undefined, marked: readonly MarkedLeg[], authservId: string): OwnFields {
  const domains = new Set(marked.map(({ leg }) => leg.domain));
  const junkHeaders = [...domains].flatMap(
    (domain) => policy?.domains.get(domain)?.policy.junk.header.name ?? [],
  );
  return { authservId, junkHeaders };
}

function ended(envelope: Envelope, outcome: Outcome): Outcome {
  if (outcome.kind === 'refuse') envelope.outcome = outcome.reply;
  return outcome;
}
