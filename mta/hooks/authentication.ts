import { beginExchange, type Move, proceedExchange } from '../auth/exchange.ts';
import { SignIn } from '../auth/sign-in.ts';
import type { HarakaConnection } from '../haraka.ts';
import { fromTable, type Outcome, ok, refuse, toDsn } from '../outcome.ts';
import type { Runtime } from '../runtime.ts';
import { type Session, sessionOf } from '../session.ts';

const signIn = new SignIn();
/** P8 */
const maxFailures = 5;

/** What EHLO adds on a submission listener, within TLS. */
export function authKeywords(session: Session): string[] {
  return session.listener === 'submission' && session.connection.tls.enabled ? ['AUTH PLAIN LOGIN'] : [];
}

/** Is this line part of an authentication? If so, Haraka knows no such command, and we answer. */
export function isAuthentication(session: Session, command: string | undefined): boolean {
  return session.listener === 'submission' && (session.exchange !== undefined || command === 'AUTH');
}

/** AUTH, and the lines of the client that belong to it (RFC 4954). */
export function authenticate(
  runtime: Runtime,
  connection: HarakaConnection,
  params: readonly string[],
): Outcome | Promise<Outcome> {
  const session = sessionOf(connection);
  const { exchange } = session;
  delete session.exchange;
  if (exchange !== undefined)
    return move(runtime, session, proceedExchange(exchange, params.join(' ').trim()));
  if (!connection.tls.enabled) return fromTable('submission', 'authNeedsTls');
  if (session.account !== undefined) return refuse(503, '5.5.1', 'Already authenticated');
  if (connection.transaction !== null) return refuse(503, '5.5.1', 'Not within a transaction');
  return move(runtime, session, beginExchange(params[1] ?? ''));
}

function move(runtime: Runtime, session: Session, next: Move): Outcome | Promise<Outcome> {
  switch (next.kind) {
    case 'challenge':
      session.exchange = next.exchange;
      session.connection.respond(334, next.text);
      return ok;
    case 'credentials':
      return check(runtime, session, next.name, next.password);
    case 'cancelled':
      return refuse(501, '5.7.0', 'Authentication cancelled');
    case 'malformed':
      return refuse(501, '5.5.2', 'Cannot decode the response');
    case 'unknownMechanism':
      return refuse(504, '5.5.4', 'Mechanism not supported');
  }
}

async function check(runtime: Runtime, session: Session, name: string, password: string): Promise<Outcome> {
  const loaded = runtime.bundles.current;
  if (loaded === undefined) return fromTable('service', 'noPolicy');
  const account = await signIn.check(loaded, name, password, runtime.now());
  const { connection } = session;
  runtime.log.info({
    event: 'authentication',
    peer: connection.remote.ip,
    // A name without @ is often a password in the wrong field.
    name: account?.name ?? (name.includes('@') ? name.slice(0, 320) : undefined),
    success: account !== undefined,
  });
  if (account !== undefined) {
    session.account = account;
    connection.respond(
      235,
      toDsn(runtime.haraka, { code: 235, enhanced: '2.7.0', text: 'Authentication succeeded' }),
    );
    return ok;
  }
  session.failedAuthentications += 1;
  return fromTable(
    'submission',
    session.failedAuthentications >= maxFailures ? 'authGuessing' : 'authFailed',
  );
}
