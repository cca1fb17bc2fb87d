import type { Leg } from '../../bundle/leg.ts';
import type { HarakaFailure, HarakaMail } from '../haraka.ts';
import { RouteConcurrency } from '../outbound/concurrency.ts';
import { resolveRoute } from '../outbound/next-hop.ts';
import { legOf } from '../outbound/queue-file.ts';
import { shapeDelivery } from '../outbound/route-delivery.ts';
import { type Outcome, ok, proceed, refuse } from '../outcome.ts';
import type { Runtime } from '../runtime.ts';

const concurrency = new RouteConcurrency();
/** Why an attempt could not even begin; Haraka's own words for that say nothing. */
const obstacles = new WeakMap<HarakaMail, string>();
/** Seconds until a mail asks again for a place at its Route, should nobody wake it before. */
const crowdedSeconds = 60;
/** A draining process begins no delivery; the next one finds the file due. */
const drainingSeconds = 3600;

/** Before each attempt. */
export function sendEmail(runtime: Runtime, mail: HarakaMail): Outcome {
  if (runtime.drain.draining) return { kind: 'delay', seconds: drainingSeconds };
  const leg = legOf(mail);
  if (leg?.hop.kind !== 'Route') return proceed;
  const own = runtime.bundles.current?.routes.get(leg.hop.route)?.connection.maxConcurrent;
  const limit = Math.min(own ?? Number.POSITIVE_INFINITY, runtime.settings.perDestinationConcurrency);
  const release = concurrency.take(leg.hop.route, limit, () => wake(runtime, mail));
  if (release === undefined) return { kind: 'delay', seconds: crowdedSeconds };
  const done = mail.next_cb;
  mail.next_cb = () => {
    release();
    done.call(mail);
  };
  return proceed;
}

/** Takes a mail out of the waiting room that Haraka put it into, and starts it. */
function wake({ haraka }: Runtime, mail: HarakaMail): void {
  const { temp_fail_queue, delivery_queue } = haraka.outbound;
  try {
    temp_fail_queue.discard(mail.filename);
  } catch {
    // It is not there any more: its time had come by itself.
    return;
  }
  delivery_queue.push(mail);
}

/** Where this attempt goes: the leg names a Route, the policy of this moment says what it is (R2, R9). */
export async function getMx(runtime: Runtime, mail: HarakaMail): Promise<Outcome> {
  const leg = legOf(mail);
  const loaded = runtime.bundles.current;
  obstacles.delete(mail);
  if (leg === undefined || loaded === undefined) return gone(mail, 'no leg or no policy');
  if (!loaded.domains.has(leg.domain)) return gone(mail, `MailDomain of ${leg.domain} is gone`);
  if (leg.hop.kind === 'Mx') return proceed;
  if (leg.hop.kind !== 'Route') return gone(mail, 'no destination to send to');
  const route = loaded.routes.get(leg.hop.route);
  if (route === undefined) return gone(mail, `Route ${leg.hop.route} is gone`);
  const auth = route.authenticated ? loaded.secrets.routeAuth[route.name] : undefined;
  if (route.authenticated && auth === undefined)
    return gone(mail, `credentials of Route ${route.name} are gone`);
  shapeDelivery(mail, route, runtime.haraka.outbound);
  const hops = await resolveRoute(route, runtime.settings.heloName, auth);
  return hops.length === 0 ? gone(mail, `${route.host} has no address now`) : { kind: 'ok', value: hops };
}

export function deferred(
  runtime: Runtime,
  mail: HarakaMail,
  failure: HarakaFailure & { delay: number; err: unknown },
): Outcome {
  tell(runtime, mail, 'deferred', { reason: reasonOf(mail, failure.err), nextAttemptSeconds: failure.delay });
  return proceed;
}

export function delivered(runtime: Runtime, mail: HarakaMail, params: readonly unknown[]): Outcome {
  const [host, ip, response, , port, mode, , secured] = params;
  tell(runtime, mail, 'delivered', { host, ip, port, mode, tls: secured === true, response });
  return proceed;
}

/**
 * A final failure. A DSN goes to a sender that is proven only (G9), and at this stage none is: so the ledger keeps count, and
 * the log has the rest. Haraka removes the file.
 */
export function bounce(runtime: Runtime, mail: HarakaMail, error: Error): Outcome {
  const leg = legOf(mail);
  const reason = reasonOf(mail, error);
  const expired = reason.startsWith('Too many failures');
  const entry = mail.todo.mail_from.isNull()
    ? 'doubleBounces'
    : leg?.onFailure === 'Ledger'
      ? (leg.ledgerEntry ?? 'suppressedNdrs')
      : 'backscatterAvoided';
  runtime.ledger.add(entry);
  if (expired) runtime.ledger.add('expired');
  tell(runtime, mail, 'failed', { reason, ledger: entry, expired });
  return ok;
}

function tell(
  runtime: Runtime,
  mail: HarakaMail,
  result: 'delivered' | 'deferred' | 'failed',
  details: object,
): void {
  const leg = legOf(mail);
  runtime.metrics.delivery(nameOf(leg), result);
  const { uuid, mail_from, rcpt_to } = mail.todo;
  runtime.log.info({
    event: result,
    id: uuid,
    from: mail_from.address,
    to: rcpt_to.map(({ address }) => address).join(', '),
    leg,
    attempts: mail.num_failures,
    ...details,
  });
}

function nameOf(leg: Leg | undefined): string {
  return leg?.hop.kind === 'Route' ? leg.hop.route : (leg?.hop.kind ?? 'unknown');
}

/** What the other side said, where it said something: Haraka's own text is often just "Tried all MXs". */
function reasonOf(mail: HarakaMail, error: unknown): string {
  const own = error instanceof Error ? error.message : String(error);
  const theirs =
    obstacles.get(mail) ?? mail.todo.rcpt_to[0]?.reason ?? mail.todo.rcpt_to[0]?.dsn_smtp_response;
  return theirs === undefined || own.includes(theirs) ? own : `${own}: ${theirs}`;
}

/** 4.3.5: the configuration for this mail is missing now; it may come back. */
function gone(mail: HarakaMail, what: string): Outcome {
  obstacles.set(mail, `4.3.5 ${what}`);
  return refuse(451, '4.3.5', what);
}
