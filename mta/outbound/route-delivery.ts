import type { HarakaMail, HarakaOutbound, OutboundSocket } from '../haraka.ts';
import { type Phase, watchCommands } from './command-watch.ts';
import { keepMail } from './keep-mail.ts';
import type { Terms } from './terms.ts';
import { enforceTls, hideStartTls } from './tls-level.ts';

/** Seconds after which a mail that could not even be renamed for its next attempt is tried again. */
const holdSeconds = 60;

/**
 * Makes one delivery attempt obey its terms: TLS level, time limit, credentials over TLS only, and which failures are final
 * (R5: on a Route only a 5xx to RCPT or to the end of the data; everything earlier is the Route's trouble, so it defers).
 * Set on the mail object at each attempt, over the methods of its class.
 */
export function shapeDelivery(mail: HarakaMail, terms: Terms, outbound: HarakaOutbound): void {
  const { prototype } = outbound.HMailItem;
  const { mode } = terms.tls;
  let phase: () => Phase = () => 'connect';

  // `hmail.todo.force_tls`, which Haraka documents, does nothing (HT4).
  mail.get_force_tls = () => mode === 'Required';

  mail.try_deliver_host_on_socket = (hop, host, port, socket) => {
    socket.setTimeout(terms.timeoutSeconds * 1000);
    enforceTls(socket, { ...terms.tls, serverName: terms.serverName(host) });
    phase = watchCommands(socket, (next, before) => forbidden(terms, socket, next, before));
    if (mode === 'Disabled' || mode === 'Implicit') hideStartTls(socket);
    const deliver = () => prototype.try_deliver_host_on_socket.call(mail, hop, host, port, socket);
    if (mode === 'Implicit') secureFirst(mail, socket, deliver);
    else deliver();
  };

  mail.bounce = (reason, extra) => {
    const text = reason instanceof Error ? reason.message : String(reason);
    const final =
      terms.earlyRefusals === 'bounce' || isFinal(text, extra?.bounce_recips !== undefined, phase());
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
