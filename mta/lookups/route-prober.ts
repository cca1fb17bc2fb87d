import type { RoutePolicy } from '../../bundle/route-policy.ts';
import type { RouteProbe } from '../../bundle/state.ts';
import { problemOf } from '../problem.ts';
import { type DefinedRoute, findRoute, type RouteBook } from './route-book.ts';
import { openRoute, type RouteClient, type RouteCredentials, RouteProblem } from './route-session.ts';

/** Tries one Route. Never rejects. @returns what `/state` says of it. */
export type ProbeRoute = (
  route: RoutePolicy,
  credentials: RouteCredentials | undefined,
  signal: AbortSignal,
) => Promise<Omit<RouteProbe, 'checkedAt'>>;

export interface RouteProberOptions {
  readonly probe: ProbeRoute;
  /** Told when a Route's answer is another than the last one. */
  readonly changed: (route: string, probe: RouteProbe) => void;
  /** Seconds since the epoch. */
  readonly now: () => number;
  /** From 0 to below 1: spreads the probes, so that the pods of an MTA do not knock all at once. */
  readonly random?: () => number;
  readonly intervalMs?: number;
}

const deadlineMs = 10_000;
const maxConcurrent = 10;

interface Watched extends DefinedRoute {
  timer: NodeJS.Timeout | undefined;
}

/**
 * Tries every Route of the loaded policy, each about once a minute and at once when it is new or has changed: from the pods, since
 * theirs is the way that mail takes. Nothing waits for it.
 */
export class RouteProber {
  private readonly options: RouteProberOptions;
  private readonly watched = new Map<string, Watched>();
  private readonly found = new Map<string, RouteProbe>();
  private readonly queue: Watched[] = [];
  private running = 0;
  private readonly stopped = new AbortController();

  constructor(options: RouteProberOptions) {
    this.options = options;
  }

  /** The newest answer of each Route, by name. */
  results(): Record<string, RouteProbe> {
    return Object.fromEntries(this.found);
  }

  /** Follows a newly loaded policy. */
  follow(book: RouteBook): void {
    for (const [name, { timer }] of this.watched) {
      if (book.routes.has(name)) continue;
      clearTimeout(timer);
      this.watched.delete(name);
      this.found.delete(name);
    }
    for (const name of book.routes.keys()) {
      const defined = findRoute(book, name);
      const before = this.watched.get(name);
      if (defined === undefined || before?.definition === defined.definition) continue;
      clearTimeout(before?.timer);
      // What was found belongs to what the Route was.
      this.found.delete(name);
      const watched: Watched = { ...defined, timer: undefined };
      this.watched.set(name, watched);
      this.queue.push(watched);
    }
    this.next();
  }

  stop(): void {
    this.stopped.abort();
    for (const { timer } of this.watched.values()) clearTimeout(timer);
    this.watched.clear();
    this.queue.length = 0;
  }

  private next(): void {
    while (this.running < maxConcurrent) {
      const watched = this.queue.shift();
      if (watched === undefined) return;
      if (!this.isWatched(watched)) continue;
      this.running += 1;
      this.probe(watched).finally(() => {
        this.running -= 1;
        this.next();
      });
    }
  }

  private async probe(watched: Watched): Promise<void> {
    const { probe, changed, now, random = Math.random, intervalMs = 60_000 } = this.options;
    const { route, credentials } = watched;
    const limit = AbortSignal.timeout(Math.min(deadlineMs, route.connection.timeoutSeconds * 1000));
    const answer = await probe(route, credentials, AbortSignal.any([limit, this.stopped.signal]));
    if (!this.isWatched(watched)) return;
    const result = { ...answer, checkedAt: now() };
    const last = this.found.get(route.name);
    this.found.set(route.name, result);
    if (last?.reason !== result.reason || last.detail !== result.detail) changed(route.name, result);
    const again = () => {
      this.queue.push(watched);
      this.next();
    };
    watched.timer = setTimeout(again, intervalMs * (0.8 + 0.4 * random()));
    watched.timer.unref();
  }

  private isWatched(watched: Watched): boolean {
    return this.watched.get(watched.route.name) === watched;
  }
}

/** Goes as far as a delivery does before MAIL: connection, greeting, EHLO, TLS, AUTH. */
export function probeBySmtp(client: RouteClient): ProbeRoute {
  return async (route, credentials, signal) => {
    try {
      const { dialogue, certificateExpires } = await openRoute(route, client, credentials, signal);
      dialogue.close();
      const expiry = certificateExpires === undefined ? {} : { certificateExpires };
      return { reachable: true, reason: 'Connected', detail: '', ...expiry };
    } catch (error) {
      const reason = error instanceof RouteProblem ? error.reason : 'ConnectFailed';
      return { reachable: false, reason, detail: problemOf(error) };
    }
  };
}
