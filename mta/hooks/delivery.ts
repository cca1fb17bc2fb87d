import type { Leg } from '../../bundle/leg.ts';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import { type TlsDemand, tlsDemandOf } from '../../policy/outbound-tls.ts';
import type { HarakaFailure, HarakaHop, HarakaMail } from '../haraka.ts';
import type { LedgerEntry } from '../ledger.ts';
import { RouteConcurrency } from '../outbound/concurrency.ts';
import { findExchangers } from '../outbound/exchangers.ts';
import { resolveRoute } from '../outbound/next-hop.ts';
import type { Partner } from '../outbound/partner-tls.ts';
import { legOf } from '../outbound/queue-file.ts';
import { type Course, isExpired, shapeDelivery, type TlsFailure } from '../outbound/route-delivery.ts';
import { strengthened, type Terms, termsOfMx, termsOfRoute } from '../outbound/terms.ts';
import { type Outcome, ok, proceed, refuse } from '../outcome.ts';
import { problemOf } from '../problem.ts';
import { reportFailure } from '../report/report.ts';
import type { Runtime } from '../runtime.ts';

const concurrency = new RouteConcurrency();
/** Why an attempt could not even begin; Haraka's own words for that say nothing. */
const obstacles = new WeakMap<HarakaMail, string>();
/** What the present attempt of a mail is under. */
interface Attempt extends Course {
  /** Undefined for a file that nobody knows the leg of. */
  readonly partner: Partner | undefined;
}
const attempts = new WeakMap<HarakaMail, Attempt>();
/** Seconds until a mail asks again for a place at its Route, should nobody wake it before. */
const crowdedSeconds = 60;
/** A draining process begins no delivery; the next one finds the file due. */
const drainingSeconds = 3600;

/** Before each attempt. */
export function sendEmail(runtime: Runtime, mail: HarakaMail): Outcome {
  if (runtime.drain.draining) return { kind: 'delay', seconds: drainingSeconds };
  const release = takePlace(runtime, mail);
  if (release === undefined) return { kind: 'delay', seconds: crowdedSeconds };
  const done = mail.next_cb;
  mail.next_cb = () => {
    release();
    done.call(mail);
  };
  return proceed;
}

/** A place among the deliveries that run to its Route. @returns gives it back; undefined if there is none now. */
function takePlace(runtime: Runtime, mail: HarakaMail): (() => void) | undefined {
  const leg = legOf(mail);
  if (leg?.hop.kind !== 'Route') return () => undefined;
  const own = runtime.bundles.current?.routes.get(leg.hop.route)?.connection.maxConcurrent;
  const limit = Math.min(own ?? Number.POSITIVE_INFINITY, runtime.settings.perDestinationConcurrency);
  return concurrency.take(leg.hop.route, limit, mail, () => wake(runtime, mail));
}

/** Takes a mail out of the waiting room that Haraka put it into, and starts it. @returns false if it is not there any more. */
function wake({ haraka }: Runtime, mail: HarakaMail): boolean {
  const { temp_fail_queue, delivery_queue } = haraka.outbound;
  try {
    temp_fail_queue.discard(mail.filename);
  } catch {
    // Its time had come by itself, or the administrator has taken it.
    return false;
  }
  delivery_queue.push(mail);
  return true;
}

/** Where this attempt goes: the leg names a Route, the policy of this moment says what it is (R2, R9). */
export async function getMx(runtime: Runtime, mail: HarakaMail): Promise<Outcome> {
  obstacles.delete(mail);
  const way = findWay(runtime, mail);
  // What the attempt before had found out counts no more, also where this one does not get under way.
  if ('missing' in way) {
    shape(runtime, mail, { terms: termsOfMx(new Map()), route: undefined }, undefined);
    return gone(mail, way.missing);
  }
  const { demand, route, auth } = way;
  if (route === undefined) return toExchangers(runtime, mail, demand);
  shape(runtime, mail, { terms: termsOfRoute(route), route: route.name }, demand);
  const hops = await resolveRoute(route, runtime.settings.heloName, auth, runtime.dns);
  return hops.length === 0 ? gone(mail, `${route.host} has no address now`) : { kind: 'ok', value: hops };
}

/** What an attempt goes by; without a Route it goes to the mail servers of the recipient's domain. */
interface Way {
  readonly demand: TlsDemand | undefined;
  readonly route?: RoutePolicy;
  readonly auth?: { readonly username: string; readonly password: string } | undefined;
}

function findWay({ bundles }: Runtime, mail: HarakaMail): Way | { readonly missing: string } {
  const leg = legOf(mail);
  const loaded = bundles.current;
  if (leg === undefined || loaded === undefined) return { missing: 'no leg or no policy' };
  if (!loaded.policy.domains.has(leg.domain)) return { missing: `MailDomain of ${leg.domain} is gone` };
  const demand = tlsDemandOf(loaded.policy, leg);
  if (leg.hop.kind === 'Mx') return { demand };
  if (leg.hop.kind !== 'Route') return { missing: 'no destination to send to' };
  const route = loaded.routes.get(leg.hop.route);
  if (route === undefined) return { missing: `Route ${leg.hop.route} is gone` };
  const auth = route.authenticated ? loaded.secrets.routeAuth[route.name] : undefined;
  return route.authenticated && auth === undefined
    ? { missing: `credentials of Route ${route.name} are gone` }
    : { demand, route, auth };
}

function shape(
  runtime: Runtime,
  mail: HarakaMail,
  { terms, route }: { terms: Terms; route: string | undefined },
  demand: TlsDemand | undefined,
): void {
  const { haraka, connections, metrics, partnerTls, now } = runtime;
  const leg = legOf(mail);
  const partner =
    leg === undefined ? undefined : { domain: leg.domain, partner: mail.todo.domain, via: viaOf(leg) };
  const course = shapeDelivery(
    mail,
    { terms: strengthened(terms, demand, Date.now), route },
    {
      outbound: haraka.outbound,
      connections,
      told: (failure) => {
        // What a Route asks for of its own is told by its condition Reachable.
        if (partner === undefined || demand === undefined) return;
        metrics.partnerTlsFailure(partner.domain, failure.result);
        partnerTls.failed(partner, failure, now());
      },
    },
  );
  attempts.set(mail, { partner, ...course });
}

/** To the mail servers of the recipient's domain. */
async function toExchangers(
  runtime: Runtime,
  mail: HarakaMail,
  demand: TlsDemand | undefined,
): Promise<Outcome> {
  const { heloName } = runtime.settings;
  const names = new Map<string, string>();
  shape(runtime, mail, { terms: termsOfMx(names), route: undefined }, demand);
  const found = await findExchangers(mail.todo.domain, runtime.dns, heloName, runtime.mayBeMx);
  if ('reply' in found) {
    const { code, enhanced, text } = found.reply;
    obstacles.set(mail, `${code} ${enhanced} ${text}`);
    return refuse(code, enhanced, text);
  }
  for (const { name, address } of found.exchangers) names.set(address, name);
  const hops: HarakaHop[] = found.exchangers.map(({ address }) => ({
    exchange: address,
    port: runtime.mxPort,
    bind_helo: heloName,
  }));
  return { kind: 'ok', value: hops };
}

export function deferred(
  runtime: Runtime,
  mail: HarakaMail,
  failure: HarakaFailure & { delay: number; err: unknown },
): Outcome {
  const reason = reasonOf(mail, failure.err);
  runtime.lastAnswers.note(mail.todo.uuid, reason, runtime.now());
  tell(runtime, mail, 'deferred', { reason, nextAttemptSeconds: failure.delay });
  return proceed;
}

export function delivered(runtime: Runtime, mail: HarakaMail, params: readonly unknown[]): Outcome {
  const [host, ip, response, , port, mode, , secured] = params;
  runtime.metrics.legEnded('delivered');
  const partner = attempts.get(mail)?.partner;
  if (partner !== undefined) runtime.partnerTls.succeeded(partner);
  runtime.lastAnswers.forget(mail.todo.uuid);
  tell(runtime, mail, 'delivered', { host, ip, port, mode, tls: secured === true, response });
  return proceed;
}

/** Seconds until a mail is tried again whose failure could not be reported. */
const unreportedSeconds = 60;

/**
 * A final failure. The sender is told if it is proven (G9); otherwise the ledger keeps count, and the log has the rest. Haraka
 * removes the file, unless the report cannot be filed: then nobody knows of the failure yet, and the mail stays.
 */
export async function bounce(runtime: Runtime, mail: HarakaMail, error: Error): Promise<Outcome> {
  const reason = reasonOf(mail, error);
  const leg = legOf(mail);
  const unreported = ledgerEntry(mail, leg);
  let reported = false;
  try {
    reported =
      unreported === undefined && leg !== undefined && (await reportFailure(runtime, mail, leg, reason));
  } catch (err) {
    const { uuid: id } = mail.todo;
    runtime.log.error({ event: 'report', id, reason, err }, 'a failure cannot be reported: the mail stays');
    return { kind: 'delay', seconds: unreportedSeconds };
  }
  const entry = reported ? undefined : (unreported ?? 'doubleBounces');
  runtime.lastAnswers.forget(mail.todo.uuid);
  const expired = isExpired(reason);
  count(runtime, [...(expired ? (['expired'] as const) : []), ...(entry === undefined ? [] : [entry])], leg);
  runtime.metrics.legEnded(entry === undefined ? 'bounced' : 'ledger');
  tell(runtime, mail, 'failed', {
    reason,
    ...(entry === undefined ? { reported } : { ledger: entry }),
    expired,
  });
  return ok;
}

function count(
  { bundles, ledger, metrics }: Runtime,
  entries: readonly LedgerEntry[],
  leg: Leg | undefined,
): void {
  const isHosted = leg !== undefined && bundles.current?.policy.domains.has(leg.domain) === true;
  const domain = isHosted ? leg.domain : undefined;
  ledger.add(entries, domain);
  for (const entry of entries) metrics.ledgerEntry(domain ?? 'other', entry);
}

/** Why nobody is told of a failure; undefined if the sender is. */
function ledgerEntry(mail: HarakaMail, leg: Leg | undefined): LedgerEntry | undefined {
  if (mail.todo.mail_from.isNull()) return 'doubleBounces';
  // Nobody knows where such a file comes from, and so whose the mail is.
  if (leg === undefined) return 'backscatterAvoided';
  return leg.onFailure === 'Ledger' ? (leg.ledgerEntry ?? 'suppressedNdrs') : undefined;
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

function viaOf({ hop }: Leg): string {
  return hop.kind === 'Route' ? `Route/${hop.route}` : hop.kind;
}

function nameOf(leg: Leg | undefined): string {
  return leg?.hop.kind === 'Route' ? leg.hop.route : (leg?.hop.kind ?? 'unknown');
}

/** What the other side said, where it said something: Haraka's own text is often just "Tried all MXs". */
function reasonOf(mail: HarakaMail, error: unknown): string {
  const own = problemOf(error);
  const tls = attempts.get(mail)?.tlsFailure();
  if (tls !== undefined) return isExpired(own) ? `${own}: ${tlsReason(tls)}` : tlsReason(tls);
  const lost = /Tried all MXs/.test(own) ? attempts.get(mail)?.lost() : undefined;
  if (lost !== undefined) return isExpired(own) ? `${own}: ${lost}` : lost;
  const theirs =
    obstacles.get(mail) ?? mail.todo.rcpt_to[0]?.reason ?? mail.todo.rcpt_to[0]?.dsn_smtp_response;
  return theirs === undefined || own.includes(theirs) ? own : `${own}: ${theirs}`;
}

/** In the words of TLS reports (RFC 8460 4.3), after the status that they mean (RFC 3463 3.8). */
function tlsReason({ result, host, detail }: TlsFailure): string {
  const status = result === 'starttls-not-supported' ? '4.7.4' : '4.7.5';
  return `${status} TLS required, ${host}: ${result}: ${detail}`;
}

/** 4.3.5: the configuration for this mail is missing now; it may come back. */
function gone(mail: HarakaMail, what: string): Outcome {
  obstacles.set(mail, `4.3.5 ${what}`);
  return refuse(451, '4.3.5', what);
}
