import { LRUCache } from 'lru-cache';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import type { LookupAnswer, RecipientLookup } from '../../policy/types.ts';
import { RouteConcurrency } from '../outbound/concurrency.ts';
import { problemOf } from '../problem.ts';
import { findRoute, type RouteBook } from './route-book.ts';
import { openRoute, type RouteClient, type RouteCredentials } from './route-session.ts';

/** Asks one server about one recipient. @throws Error if it does not say. */
export type AskRoute = (
  route: RoutePolicy,
  credentials: RouteCredentials | undefined,
  recipient: string,
  signal: AbortSignal,
) => Promise<'known' | 'unknown'>;

export interface RecipientProbeOptions {
  readonly book: () => RouteBook | undefined;
  readonly ask: AskRoute;
  /** Told how each question ended that was put to a server. */
  readonly answered: (route: string, answer: LookupAnswer) => void;
  /** Told why a Route does not say: once for each different cause in a row. */
  readonly troubled: (route: string, problem: string) => void;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/** A recipient can need three questions (as written, without subaddress, at a rule's Route): together less than the hook has. */
const deadlineMs = 6_000;
const maxAnswers = 10_000;
/** Milliseconds for which an answer holds. A new mailbox must work soon, and a server that is back at once. */
const holds: Readonly<Record<LookupAnswer, number>> = {
  known: 600_000,
  unknown: 60_000,
  unavailable: 5_000,
};
/** Questions at a time to one Route, and how many more may wait for their turn. */
const maxConcurrent = 5;
const maxWaiting = 200;

/**
 * Asks Routes whether they take a recipient (I9, I13). Answers are kept for a while; one recipient is asked for once at a time; each
 * Route has places of its own, so that a slow one delays nobody else's. An answer belongs to the Route as it is defined: after a
 * change it is not used any more.
 */
export class RecipientProbe {
  private readonly options: RecipientProbeOptions;
  private readonly answers: LRUCache<string, LookupAnswer>;
  private readonly running = new Map<string, Promise<LookupAnswer>>();
  private readonly troubles = new Map<string, string>();
  private readonly waiting = new Map<string, number>();
  private readonly places = new RouteConcurrency();

  constructor(options: RecipientProbeOptions) {
    this.options = options;
    const now = options.now ?? (() => performance.now());
    // The resolution of the cache's own clock would cost a timer for each millisecond in which it is asked.
    this.answers = new LRUCache({ max: maxAnswers, ttl: holds.known, ttlResolution: 0, perf: { now } });
  }

  /** Never rejects: what cannot be found out is `unavailable`, which the policy answers with 451. */
  async lookUp({ route: name, recipient }: RecipientLookup): Promise<LookupAnswer> {
    const book = this.options.book();
    const found = book && findRoute(book, name);
    if (found === undefined) return 'unavailable';
    const { route, credentials, definition } = found;
    const key = JSON.stringify([name, definition, recipient.toLowerCase()]);
    const kept = this.answers.get(key);
    if (kept !== undefined) return kept;
    const running = this.running.get(key);
    if (running !== undefined) return running;
    const question = this.question(route, credentials, recipient).then((answer) => {
      this.answers.set(key, answer, { ttl: holds[answer] });
      this.running.delete(key);
      return answer;
    });
    this.running.set(key, question);
    return question;
  }

  private async question(
    route: RoutePolicy,
    credentials: RouteCredentials | undefined,
    recipient: string,
  ): Promise<LookupAnswer> {
    const { ask, answered } = this.options;
    const signal = AbortSignal.timeout(Math.min(deadlineMs, route.connection.timeoutSeconds * 1000));
    let answer: LookupAnswer = 'unavailable';
    try {
      const asked = this.inTurn(route, () => ask(route, credentials, recipient, signal), signal);
      answer = await Promise.race([asked, expiry(signal)]);
      this.troubles.delete(route.name);
    } catch (error) {
      this.tell(route.name, problemOf(error));
    }
    answered(route.name, answer);
    return answer;
  }

  private tell(route: string, problem: string): void {
    if (this.troubles.get(route) === problem) return;
    this.troubles.set(route, problem);
    this.options.troubled(route, problem);
  }

  /** Runs it when there is a place. Who has waited too long still takes his place and gives it to the next. */
  private async inTurn<T>(route: RoutePolicy, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const limit = Math.min(maxConcurrent, route.connection.maxConcurrent);
    const waiting = this.waiting.get(route.name) ?? 0;
    if (waiting >= maxWaiting) throw new Error('too many recipients wait to be asked for');
    this.waiting.set(route.name, waiting + 1);
    let release: (() => void) | undefined;
    while (release === undefined) {
      const free = Promise.withResolvers<void>();
      release = this.places.take(route.name, limit, signal, () => {
        free.resolve();
        return true;
      });
      if (release === undefined) await free.promise;
    }
    const left = (this.waiting.get(route.name) ?? 1) - 1;
    if (left === 0) this.waiting.delete(route.name);
    else this.waiting.set(route.name, left);
    try {
      signal.throwIfAborted();
      return await work();
    } finally {
      release();
    }
  }
}

/**
 * Asks by beginning a mail to the recipient and not sending it. A Route that refuses the null sender refuses bounces, not the
 * recipient; only what it says to RCPT counts, as in a delivery (R5).
 */
export function askBySmtp(client: RouteClient): AskRoute {
  return async (route, credentials, recipient, signal) => {
    const { dialogue } = await openRoute(route, client, credentials, signal);
    try {
      const from = await dialogue.send('MAIL FROM:<>');
      if (from.code >= 300) throw new Error(`MAIL FROM:<> is answered ${from.code}`);
      const { code } = await dialogue.send(`RCPT TO:<${recipient}>`);
      if (code < 300) return 'known';
      if (code >= 500) return 'unknown';
      throw new Error(`RCPT is answered ${code}`);
    } finally {
      dialogue.close();
    }
  };
}

function expiry(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('no answer in time')), { once: true });
  });
}
