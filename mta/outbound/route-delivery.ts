import {
  type HarakaHop,
  type HarakaMail,
  type HarakaOutbound,
  type OutboundSocket,
  whyUnreached,
} from '../haraka.ts';
import { problemOf } from '../problem.ts';
import { type Phase, watchCommands } from './command-watch.ts';
import type { Connection, ConnectionPool, Purpose } from './connection-pool.ts';
import { keepUncounted } from './keep-mail.ts';
import type { Terms } from './terms.ts';
import { codeOf, enforceTls, hideStartTls, type TlsProblem } from './tls-level.ts';

/** What a host had not of the TLS that it must have. */
export interface TlsFailure extends TlsProblem {
  /** By the name that its certificate must carry. */
  readonly host: string;
}

/** A host that an attempt has come to. */
interface Stop {
  readonly host: string;
  readonly connection: Connection | undefined;
  failure: TlsFailure | undefined;
}

/** What is known of a delivery attempt beside what Haraka says of it. */
export interface Course {
  /** Why the host that was spoken to last was left, if TLS was the reason. */
  tlsFailure(): TlsFailure | undefined;
  /** Why the host that was tried last had no word on the mail, after the status that it means (RFC 3463 3.5); undefined if it had. */
  lost(): string | undefined;
}

interface DeliveryParts {
  readonly outbound: HarakaOutbound;
  readonly connections: ConnectionPool;
  readonly told: (failure: TlsFailure) => void;
}

/**
 * Makes one delivery attempt obey its terms: TLS level, time limit, credentials over TLS only, and which failures are final
 * (R5: on a Route only a 5xx to RCPT or to the end of the data; everything earlier is the Route's trouble, so it defers).
 * It goes over a connection that has just delivered another mail on the same terms, if there is one; should that have died
 * meanwhile, the attempt begins anew over one of its own. Set on the mail object at each attempt, over the methods of its class.
 * @param route name of the Route; undefined for the mail servers of a domain.
 * @param parts.told of every host that has not the TLS that it must have, once.
 */
export function shapeDelivery(
  mail: HarakaMail,
  { terms, route }: { terms: Terms; route: string | undefined },
  { outbound, connections, told }: DeliveryParts,
): Course {
  const { prototype } = outbound.HMailItem;
  const { mode } = terms.tls;
  let at: Stop = { host: '', connection: undefined, failure: undefined };
  let tried: HarakaHop | undefined;
  let brokenOff: string | undefined;
  let mayReuse = true;
  const phase = (): Phase => at.connection?.watch.phase ?? 'connect';
  const fail = (stop: Stop, problem: TlsProblem) => {
    if (stop !== at || stop.failure !== undefined || !mustBeEncrypted(terms)) return;
    stop.failure = { ...problem, host: stop.host };
    told(stop.failure);
  };
  const broken = (stop: Stop, cause: unknown) =>
    fail(stop, { result: 'validation-failure', detail: codeOf(cause) ?? 'the handshake has no end' });

  // `hmail.todo.force_tls`, which Haraka documents, does nothing (HT4).
  mail.get_force_tls = () => mode === 'Required';

  mail.try_deliver = () => {
    const [hop] = mail.mxlist ?? [];
    if (hop !== undefined) {
      tried = hop;
      brokenOff = undefined;
    }
    const waiting = mayReuse && hop ? connections.take(purposeOf(hop, terms, route)) : undefined;
    if (hop === undefined || waiting === undefined) prototype.try_deliver.call(mail);
    else reuse(waiting, hop);
  };

  const reuse = (connection: Connection, hop: HarakaHop) => {
    const { socket, watch } = connection;
    mayReuse = false;
    mail.force_tls = mail.get_force_tls(hop);
    at = { host: terms.serverName(hop.exchange), connection, failure: undefined };
    socket.__fromPool = true;
    begin(connection, hop);
    // Until the other side has asked for the data, the hop stays the next one to be tried.
    watch.atReply = (line) => {
      if (line.startsWith('354')) {
        watch.atReply = undefined;
        mail.mxlist?.shift();
        return false;
      }
      const answers = watch.phase === 'mail' ? /^2\d\d[ -]/ : /^(?!421)[2345]\d\d[ -]/;
      if (answers.test(line)) return false;
      // It has had enough mail, or was about to close: that says nothing of this mail.
      connections.end(connection);
      mail.try_deliver();
      return true;
    };
  };

  const begin = ({ socket, watch }: Connection, hop: HarakaHop) => {
    watch.begin(onlyRecipient(mail));
    socket.setTimeout(terms.timeoutSeconds * 1000);
    prototype.try_deliver_host_on_socket.call(mail, hop, hop.exchange, hop.port, socket);
    // Before Haraka's own listeners, which turn to the next host.
    for (const event of ['error', 'close'])
      socket.prependListener(event, (cause: unknown) => {
        if (at.connection?.socket !== socket) return;
        if (watch.phase === 'starttls') broken(at, cause);
        const code = codeOf(cause);
        brokenOff ??= `the connection ended in phase ${watch.phase}${code === undefined ? '' : ` (${code})`}`;
      });
  };

  mail.try_deliver_host_on_socket = (hop, host, _port, socket) => {
    const watch = watchCommands(socket, (next, before) => forbidden(terms, socket, next, before));
    const connection = { socket, watch, purpose: purposeOf(hop, terms, route), mails: 0 };
    const stop: Stop = { host: terms.serverName(host), connection, failure: undefined };
    at = stop;
    enforceTls(socket, { ...terms.tls, serverName: stop.host }, (problem) => fail(stop, problem));
    if (mode === 'Disabled' || mode === 'Implicit') hideStartTls(socket);
    // The last piece goes out apart from those before it: it must not wait until these are acknowledged.
    socket.targetsocket.setNoDelay?.(true);
    const deliver = () => {
      begin(connection, hop);
      if (mode === 'Required') leaveWithoutEhlo(connection, (problem) => fail(stop, problem));
    };
    if (mode !== 'Implicit') deliver();
    else {
      socket.setTimeout(terms.timeoutSeconds * 1000);
      secureFirst(mail, socket, deliver, (cause) => broken(stop, cause));
    }
  };

  mail.delivered = (...details) => {
    const { connection } = at;
    if (connection !== undefined) connection.watch.atQuit = () => connections.give(connection);
    prototype.delivered.call(mail, ...details);
  };

  mail.bounce = (reason, extra) => {
    const text = problemOf(reason);
    const final =
      terms.earlyRefusals === 'bounce' || isFinal(text, extra?.bounce_recips !== undefined, phase());
    const early = phase() === 'starttls' && mustBeEncrypted(terms) && !isExpired(text);
    if (text.startsWith('Error re-queueing')) keepUncounted(mail, outbound);
    else if (final && !early) prototype.bounce.call(mail, reason, extra);
    else mail.temp_fail(reason, extra);
  };

  mail.temp_fail = (reason, extra) => {
    const text = problemOf(reason);
    if (text.startsWith('No TLS available'))
      fail(at, { result: 'starttls-not-supported', detail: 'STARTTLS is not offered' });
    else if (phase() === 'starttls') {
      const isReply = /^(?:Upstream error: )?[45]\d\d /.test(text);
      fail(at, { result: isReply ? 'starttls-not-supported' : 'validation-failure', detail: text.trim() });
    }
    // Haraka gives up at the first host whose TLS is not good enough; another one may have better.
    if (at.failure !== undefined && mail.mxlist !== undefined && mail.mxlist.length > 0) mail.try_deliver();
    else if (at.failure !== undefined && terms.onTlsFailure?.(mail) === 'bounce')
      prototype.bounce.call(mail, reason, extra);
    else prototype.temp_fail.call(mail, reason, extra);
  };
  const lost = () => {
    if (tried === undefined) return undefined;
    const unreached = whyUnreached(tried);
    const where = `${tried.exchange}:${tried.port}`;
    if (unreached !== undefined) return `4.4.1 ${where}: no connection: ${unreached}`;
    return brokenOff && `4.4.2 ${where}: ${brokenOff}`;
  };
  return { tlsFailure: () => at.failure, lost };
}

/** The command that names the recipient of a mail that has just one, as Haraka will send it. */
function onlyRecipient({ todo }: HarakaMail): string | undefined {
  const [recipient, ...more] = todo.rcpt_to;
  if (recipient === undefined || more.length > 0) return undefined;
  const address = recipient.format(true);
  // An address that has two forms is written as the server's SMTPUTF8 has it, which is not known here.
  return address === recipient.format(false) ? `RCPT TO:${address}\r\n` : undefined;
}

/** All attempts that the lifetime of the queue has room for were made. */
export function isExpired(reason: string): boolean {
  return reason.startsWith('Too many failures');
}

function mustBeEncrypted({ tls }: Terms): boolean {
  return tls.mode === 'Required' || tls.mode === 'Implicit';
}

/** A host that refuses EHLO has no STARTTLS. Haraka would go on with HELO, forbid that to itself, and never end. */
function leaveWithoutEhlo({ socket, watch }: Connection, fail: (problem: TlsProblem) => void) {
  watch.atReply = (line) => {
    if (!/^5\d\d /.test(line) || watch.phase !== 'hello' || socket.targetsocket.encrypted === true)
      return false;
    fail({ result: 'starttls-not-supported', detail: 'EHLO is refused' });
    socket.emit('error', new Error('EHLO is refused'));
    return true;
  };
}

function purposeOf(hop: HarakaHop, terms: Terms, route: string | undefined): Purpose {
  return {
    route,
    address: hop.exchange,
    port: hop.port,
    lmtp: hop.using_lmtp === true,
    helo: hop.bind_helo,
    user: hop.auth_user,
    password: hop.auth_pass,
    tls: { ...terms.tls, serverName: terms.serverName(hop.exchange) },
    timeoutSeconds: terms.timeoutSeconds,
  };
}

function isFinal(reason: string, recipientRefused: boolean, phase: Phase): boolean {
  if (recipientRefused || isExpired(reason)) return true;
  return phase === 'end' && /^5\d\d\b/.test(reason);
}

/** A last look at every command, whatever Haraka believes about the connection. */
function forbidden(
  terms: Terms,
  socket: OutboundSocket,
  next: Phase,
  before: ReadonlySet<Phase>,
): string | undefined {
  const encrypted = socket.targetsocket.encrypted === true;
  if (mustBeEncrypted(terms) && !encrypted && next !== 'hello' && next !== 'starttls')
    return 'TLS is required and not active';
  if (next === 'auth' && !encrypted) return 'AUTH is not sent without TLS';
  // Haraka would go on without AUTH where the server does not offer it.
  if (next === 'mail' && terms.authenticated && !before.has('auth')) return 'the server does not offer AUTH';
  return undefined;
}

/** TLS before the first byte of SMTP (RFC 8314 "implicit"). */
function secureFirst(
  mail: HarakaMail,
  socket: OutboundSocket,
  deliver: () => void,
  broken: (cause: unknown) => void,
): void {
  let settled = false;
  const settle = (next: () => void) => {
    if (settled) return;
    settled = true;
    next();
  };
  const nextHop = () => {
    socket.removeAllListeners();
    socket.on('error', () => undefined);
    socket.destroy();
    mail.try_deliver();
  };
  for (const event of ['error', 'timeout', 'close'])
    socket.on(event, (cause: unknown) =>
      settle(() => {
        broken(cause);
        nextHop();
      }),
    );
  socket.upgrade({}, (verified) => settle(verified ? deliver : nextHop));
}
