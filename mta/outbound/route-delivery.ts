import type { HarakaHop, HarakaMail, HarakaOutbound, OutboundSocket } from '../haraka.ts';
import { type Phase, watchCommands } from './command-watch.ts';
import type { Connection, ConnectionPool, Purpose } from './connection-pool.ts';
import { keepMail } from './keep-mail.ts';
import type { Terms } from './terms.ts';
import { enforceTls, hideStartTls } from './tls-level.ts';

/** Seconds after which a mail that could not even be renamed for its next attempt is tried again. */
const holdSeconds = 60;

/**
 * Makes one delivery attempt obey its terms: TLS level, time limit, credentials over TLS only, and which failures are final
 * (R5: on a Route only a 5xx to RCPT or to the end of the data; everything earlier is the Route's trouble, so it defers).
 * It goes over a connection that has just delivered another mail on the same terms, if there is one; should that have died
 * meanwhile, the attempt begins anew over one of its own. Set on the mail object at each attempt, over the methods of its class.
 * @param route name of the Route; undefined for the mail servers of a domain.
 */
export function shapeDelivery(
  mail: HarakaMail,
  { terms, route }: { terms: Terms; route: string | undefined },
  { outbound, connections }: { outbound: HarakaOutbound; connections: ConnectionPool },
): void {
  const { prototype } = outbound.HMailItem;
  let used: Connection | undefined;
  let mayReuse = true;

  // `hmail.todo.force_tls`, which Haraka documents, does nothing (HT4).
  mail.get_force_tls = () => terms.tls.mode === 'Required';

  mail.try_deliver = () => {
    const [hop] = mail.mxlist ?? [];
    const waiting = mayReuse && hop ? connections.take(purposeOf(hop, terms, route)) : undefined;
    if (hop === undefined || waiting === undefined) prototype.try_deliver.call(mail);
    else reuse(waiting, hop);
  };

  const reuse = (connection: Connection, hop: HarakaHop) => {
    mayReuse = false;
    mail.force_tls = mail.get_force_tls(hop);
    connection.socket.__fromPool = true;
    deliverOver(connection, hop);
    const { watch } = connection;
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

  const deliverOver = (connection: Connection, hop: HarakaHop) => {
    const { socket, watch } = connection;
    used = connection;
    watch.begin();
    socket.setTimeout(terms.timeoutSeconds * 1000);
    prototype.try_deliver_host_on_socket.call(mail, hop, hop.exchange, hop.port, socket);
  };

  mail.try_deliver_host_on_socket = (hop, host, _port, socket) => {
    enforceTls(socket, { ...terms.tls, serverName: terms.serverName(host) });
    const watch = watchCommands(socket, (next, before) => forbidden(terms, socket, next, before));
    const { mode } = terms.tls;
    if (mode === 'Disabled' || mode === 'Implicit') hideStartTls(socket);
    // The dot goes out apart from the data: it must not wait until that is acknowledged.
    socket.targetsocket.setNoDelay?.(true);
    const connection = { socket, watch, purpose: purposeOf(hop, terms, route), mails: 0 };
    if (mode !== 'Implicit') deliverOver(connection, hop);
    else {
      socket.setTimeout(terms.timeoutSeconds * 1000);
      secureFirst(mail, socket, () => deliverOver(connection, hop));
    }
  };

  mail.delivered = (...details) => {
    const connection = used;
    if (connection !== undefined) connection.watch.atQuit = () => connections.give(connection);
    prototype.delivered.call(mail, ...details);
  };

  mail.bounce = (reason, extra) => {
    const text = reason instanceof Error ? reason.message : String(reason);
    const final =
      terms.earlyRefusals === 'bounce' ||
      isFinal(text, extra?.bounce_recips !== undefined, used?.watch.phase ?? 'connect');
    if (text.startsWith('Error re-queueing')) keepMail(mail, outbound, holdSeconds);
    else if (final) prototype.bounce.call(mail, reason, extra);
    else mail.temp_fail(reason, extra);
  };

  mail.temp_fail = (reason, extra) => {
    const text = reason instanceof Error ? reason.message : String(reason);
    if (terms.onTlsFailure?.(mail) === 'bounce' && /TLS/.test(text))
      prototype.bounce.call(mail, reason, extra);
    else prototype.temp_fail.call(mail, reason, extra);
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
  if (recipientRefused || reason.startsWith('Too many failures')) return true;
  return phase === 'end' && /^5\d\d\b/.test(reason);
}

/** A last look at every command, whatever Haraka believes about the connection. */
function forbidden(
  { tls, authenticated }: Terms,
  socket: OutboundSocket,
  next: Phase,
  before: ReadonlySet<Phase>,
): string | undefined {
  const encrypted = socket.targetsocket.encrypted === true;
  const mustBeEncrypted = tls.mode === 'Required' || tls.mode === 'Implicit';
  if (mustBeEncrypted && !encrypted && next !== 'hello' && next !== 'starttls')
    return 'TLS is required and not active';
  if (next === 'auth' && !encrypted) return 'AUTH is not sent without TLS';
  // Haraka would go on without AUTH where the server does not offer it.
  if (next === 'mail' && authenticated && !before.has('auth')) return 'the server does not offer AUTH';
  return undefined;
}

/** TLS before the first byte of SMTP (RFC 8314 "implicit"). */
function secureFirst(mail: HarakaMail, socket: OutboundSocket, deliver: () => void): void {
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
  for (const event of ['error', 'timeout', 'close']) socket.on(event, () => settle(nextHop));
  socket.upgrade({}, (verified) => settle(verified ? deliver : nextHop));
}
