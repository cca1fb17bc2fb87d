import type { MarkedLeg, TraceStep } from '../policy/types.ts';
import type { Runtime } from './runtime.ts';
import type { Envelope, Session } from './session.ts';

/** Recipients whose trace is written out: the others of a long list were judged by the same settings. */
const tracedRecipients = 10;

/** One line for each transaction: who, what, where it goes, how it was decided, and what the client was told. */
export function logTransaction(runtime: Runtime, { connection, account }: Session, envelope: Envelope): void {
  const { outcome, accepted, refused, marked, message, traces } = envelope;
  if (message !== undefined) {
    runtime.metrics.message(
      outcome === undefined || outcome.code < 300 ? 'accepted' : outcome.code < 500 ? 'deferred' : 'refused',
    );
  }
  if (!runtime.log.isLevelEnabled('info')) return;
  runtime.log.info({
    event: 'transaction',
    id: connection.transaction?.uuid,
    peer: connection.remote.ip,
    helo: connection.hello.host,
    tls: connection.tls.enabled,
    account: account?.name,
    from: envelope.from,
    accepted,
    legs: marked.map(describeLeg),
    refused: refused.map(({ recipient, reply, ref, because }) => ({
      recipient,
      reply: `${reply.code} ${reply.enhanced} ${reply.text} (ref ${ref})`,
      because,
    })),
    trace: traces
      .slice(0, tracedRecipients)
      .map(({ recipient, steps }) => ({ recipient, steps: describeSteps(steps) })),
    messageTrace: describeSteps(envelope.messageTrace),
    because: envelope.because,
    size: message?.size,
    outcome: outcome === undefined ? 'not completed' : `${outcome.code} ${outcome.enhanced} ${outcome.text}`,
    milliseconds: Date.now() - envelope.startedAt,
  });
}

/** `access: reject, in a block list`; stages that found nothing are left out. */
function describeSteps(steps: readonly TraceStep[]): string[] {
  return steps
    .filter(({ outcome }) => outcome !== 'pass')
    .map(({ stage, outcome, detail }) => `${stage}: ${outcome}, ${detail}`);
}

function describeLeg({ leg: { recipient, hop, purpose }, folder }: MarkedLeg) {
  return { to: recipient, via: hop.kind === 'Route' ? hop.route : hop.kind, purpose, folder };
}
