import { parseAddress } from '../../policy/ip/address.ts';
import { connectFacts } from '../facts.ts';
import type { HarakaConnection } from '../haraka.ts';
import { type Outcome, ok, proceed, refusal, refuse, shuttingDown } from '../outcome.ts';
import type { Runtime } from '../runtime.ts';
import { findSession, openSession, type Session, sessionOf } from '../session.ts';
import { authenticate, authKeywords, isAuthentication } from './authentication.ts';

const smtpPort = 25;

/** First hook of a connection, after a PROXY line if one was due. Haraka ignores its answer. */
export function connectInit(runtime: Runtime, connection: HarakaConnection): Outcome {
  // One PROXY line and no more: Haraka would take another one as a command at any time (HT1).
  connection.proxy.allowed = false;
  // Haraka has rules of its own for 465 and 587, and a PROXY line can claim either.
  connection.local.port = smtpPort;
  connection.local.info = 'Postern';
  const listener = runtime.submissionServers.has(connection.server) ? 'submission' : 'smtp';
  const { heloName } = runtime.settings;
  const session: Session = {
    connection,
    listener,
    heloName,
    unknownRecipients: 0,
    failedAuthentications: 0,
    receiving: false,
  };
  openSession(session);
  runtime.drain.opened(session);
  runtime.metrics.connectionOpened(listener);
  return proceed;
}

/** No PTR look-up: nothing is decided by it, and it costs its round trip on every connection. */
export function lookupRdns(): Outcome {
  return { kind: 'ok', value: 'DNSERROR' };
}

export function connect(runtime: Runtime, connection: HarakaConnection): Outcome {
  if (parseAddress(connection.remote.ip) === undefined) {
    return refuse(421, '4.3.2', 'the client address cannot be understood', true);
  }
  const { judge, bundles, drain } = runtime;
  const facts = connectFacts(sessionOf(connection), runtime.now());
  const verdict = judge.connect(bundles.current?.policy, facts, drain.draining);
  if (verdict.verdict === 'accept' || verdict.verdict === 'need') return proceed;
  const outcome = refusal(verdict);
  return outcome.kind === 'refuse' ? { ...outcome, disconnect: true } : outcome;
}

/** HELO and EHLO: nothing to judge yet, but a draining process begins nothing new. */
export function greeting(runtime: Runtime): Outcome {
  return runtime.drain.draining ? shuttingDown : proceed;
}

/** EHLO keywords: the true size limit; neither SMTPUTF8 nor DSN (G11). */
export function capabilities(runtime: Runtime, connection: HarakaConnection): Outcome {
  connection.capabilities = connection.capabilities
    .filter((keyword) => keyword !== 'SMTPUTF8')
    .map((keyword) => (keyword.startsWith('SIZE ') ? `SIZE ${runtime.settings.maxMessageBytes}` : keyword));
  connection.capabilities.push('ENHANCEDSTATUSCODES', ...authKeywords(sessionOf(connection)));
  // Not on to Haraka's own part, which would complain of a missing certificate at every EHLO.
  return runtime.tlsReady() ? proceed : ok;
}

/** Commands that Haraka does not know. STARTTLS within TLS would be answered 220 a second time. */
export function unrecognizedCommand(
  runtime: Runtime,
  connection: HarakaConnection,
  params: readonly string[],
): Outcome | Promise<Outcome> {
  const command = params[0]?.toUpperCase();
  if (isAuthentication(sessionOf(connection), command)) return authenticate(runtime, connection, params);
  const [, verb, argument = ''] = /^(MAIL|RCPT) +([\s\S]*)$/i.exec(params[0] ?? '') ?? [];
  if (verb !== undefined) {
    // Haraka splits commands with a pattern that knows no CR and no U+2028 in a path: it is for the policy to refuse them (B7).
    setImmediate(() =>
      verb.toUpperCase() === 'MAIL' ? connection.cmd_mail(argument) : connection.cmd_rcpt(argument),
    );
    return ok;
  }
  if (command === 'STARTTLS' && connection.tls.enabled) return refuse(503, '5.5.1', 'TLS is active already');
  return proceed;
}

export function disconnect(runtime: Runtime, connection: HarakaConnection): Outcome {
  const session = findSession(connection);
  if (session === undefined) return proceed;
  runtime.drain.closed(session);
  runtime.metrics.connectionClosed();
  return proceed;
}
