import type { RoutePolicy } from '../../bundle/route-policy.ts';
import type { HarakaMail, HarakaOutbound, OutboundSocket } from '../haraka.ts';
import { type Phase, watchCommands } from './command-watch.ts';
import { enforceTls, hideStartTls } from './tls-level.ts';

/** Seconds after which a mail that could not even be renamed for its next attempt is tried again. */
const holdSeconds = 60;

/**
 * Makes one delivery attempt obey its Route: TLS level, time limit, credentials over TLS only, and which failures are final
 * (R5: on a Route only a 5xx to RCPT or to the end of the data; everything earlier is the Route's trouble, so it defers).
 * Set on the mail object at each attempt, over the methods of its class.
 */
export function shapeDelivery(mail: HarakaMail, route: RoutePolicy, outbound: HarakaOutbound): void {
  const { prototype } = outbound.HMailItem;
  const { mode } = route.tls;
  let phase: () => Phase = () => 'connect';

  // `hmail.todo.force_tls`, which Haraka documents, does nothing (HT4).
  mail.get_force_tls = () => mode === 'Required';

  mail.try_deliver_host_on_socket = (hop, host, port, socket) => {
    socket.setTimeout(route.connection.timeoutSeconds * 1000);
    enforceTls(socket, route);
    phase = watchCommands(socket, (next, before) => forbidden(route, socket, next, before));
    if (mode === 'Disabled' || mode === 'Implicit') hideStartTls(socket);
    const deliver = () => prototype.try_deliver_host_on_socket.call(mail, hop, host, port, socket);
    if (mode === 'Implicit') secureFirst(mail, socket, deliver);
    else deliver();
  };

  mail.bounce = (reason, extra) => {
    const text = reason instanceof Error ? reason.message : String(reason);
    if (text.startsWith('Error re-queueing')) hold(mail, outbound);
    else if (isFinal(text, extra?.bounce_recips !== undefined, phase()))
      prototype.bounce.call(mail, reason, extra);
    else mail.temp_fail(reason, extra);
  };
}

function isFinal(reason: string, recipientRefused: boolean, phase: Phase): boolean {
  if (recipientRefused || reason.startsWith('Too many failures')) return true;
  return phase === 'end' && /^5\d\d\b/.test(reason);
}

/** A last look at every command, whatever Haraka believes about the connection. */
function forbidden(
  { tls, authenticated }: RoutePolicy,
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

/** Nothing could be written: the mail stays in memory and on disk as it is. */
function hold(mail: HarakaMail, outbound: HarakaOutbound): void {
  mail.next_cb();
  outbound.temp_fail_queue.add(mail.filename, holdSeconds * 1000, () => outbound.delivery_queue.push(mail));
}
