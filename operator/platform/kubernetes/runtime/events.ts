// Events (events.k8s.io/v1) on objects, as client-go's tools/events writes them: the same thing said again is counted in a
// series, not written again. Events are news for people: losing one is no fault, and nothing here ever throws or waits.
import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { ApiError, isNotFound } from './api-error.ts';
import { type ApiClient, patchTypes } from './client.ts';
import type { Clock } from './clock.ts';
import { microTime } from './micro-time.ts';
import type { ResourceIdentity } from './resource.ts';

const EVENTS_API = 'events.k8s.io/v1';
/** A series without news for this long is closed; one with news is written this often. */
const SERIES_MS = 360_000;
const LONGEST_BACKLOG = 1_000;
/** Limit of the API (events.k8s.io/v1 validation), in characters. */
const LONGEST_NOTE = 1024;
const LONGEST_NAME = 253;
/** Namespaces of which it is known what was told of them. */
const MOST_TOLD = 1_000;

export interface EventInput {
  readonly regarding: ResourceIdentity;
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, why: `RouteUnreachable`. */
  readonly reason: string;
  /** CamelCase, what the controller did: `Probe`. */
  readonly action: string;
  /** For people; cut at 1024 characters. */
  readonly note: string;
}

export interface EventRecorder {
  /** Notes an event, to be written soon. Of more than 1,000 that wait, the oldest is dropped. Never throws. */
  record(event: EventInput): void;
  /** Waits until everything noted is written or given up. Never throws. */
  flush(): Promise<void>;
  /** Writes the open series and stops. */
  stop(): Promise<void>;
}

export interface RecorderOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  /** For example `postern.dev/operator`. */
  readonly reportingController: string;
  /** The pod's name. */
  readonly reportingInstance: string;
  /** Told why an event could not be written: of each reason once in a namespace, until an event is written there again. */
  readonly onError?: (error: unknown) => void;
}

interface Series {
  readonly input: EventInput;
  readonly namespace: string;
  readonly path: string;
  readonly name: string;
  count: number;
  /** What the stored event says; 0 before it is stored. */
  written: number;
  lastSeen: string;
  lastSeenAt: number;
}

/** Starts a recorder. */
export function createEventRecorder(options: RecorderOptions): EventRecorder {
  const { client, clock } = options;
  const series = new Map<string, Series>();
  /** Series with something to write; a Set keeps order and holds each once. */
  const backlog = new Set<Series>();
  /** Reasons that were told, by namespace. */
  const told = new LRUCache<string, Set<string>>({ max: MOST_TOLD });
  let writing: Promise<void> | undefined;
  let stopped = false;

  async function drain(): Promise<void> {
    for (const next of backlog) {
      backlog.delete(next);
      try {
        await write(next);
        told.delete(next.namespace);
      } catch (error) {
        tell(next.namespace, error);
      }
    }
    writing = undefined;
  }
  function tell(namespace: string, error: unknown): void {
    const known = told.get(namespace) ?? new Set();
    told.set(namespace, known);
    const reason = reasonOf(error);
    if (known.has(reason)) return;
    known.add(reason);
    options.onError?.(error);
  }
  function enqueue(item: Series): void {
    backlog.add(item);
    if (backlog.size > LONGEST_BACKLOG) {
      const [oldest] = backlog;
      if (oldest !== undefined) backlog.delete(oldest);
    }
    // Later, so that record() costs its caller nothing and repetitions in one turn are one write.
    writing ??= Promise.resolve().then(drain);
  }

  async function write(item: Series): Promise<void> {
    const { count } = item;
    if (item.written === 0) await client.request('POST', item.path, { body: toEvent(item, options) });
    if (count > 1) await patchSeries(item, count);
    item.written = count;
  }
  async function patchSeries(item: Series, count: number): Promise<void> {
    const body = { series: { count, lastObservedTime: item.lastSeen } };
    try {
      await client.request('PATCH', `${item.path}/${item.name}`, { body, contentType: patchTypes.merge });
    } catch (error) {
      // The server forgets events after an hour: begin anew.
      if (!isNotFound(error)) throw error;
      await client.request('POST', item.path, { body: { ...toEvent(item, options), ...body } });
    }
  }

  function tidy(): void {
    for (const [key, item] of series) {
      if (item.count > item.written) enqueue(item);
      if (clock.now() - item.lastSeenAt >= SERIES_MS) series.delete(key);
    }
    cancelTidy = clock.timer(SERIES_MS, tidy);
  }
  let cancelTidy = clock.timer(SERIES_MS, tidy);

  return {
    record(input) {
      if (stopped) return;
      const key = JSON.stringify([
        input.regarding.metadata.uid,
        input.type,
        input.reason,
        input.action,
        input.note,
      ]);
      const known = series.get(key);
      const lastSeen = microTime(clock.date());
      if (known !== undefined) {
        known.count += 1;
        known.lastSeen = lastSeen;
        known.lastSeenAt = clock.now();
        // The second makes it a series; how many more there were is written when the series is tidied.
        if (known.count === 2) enqueue(known);
        return;
      }
      const { namespace = 'default', name } = input.regarding.metadata;
      const suffix = `.${randomBytes(8).toString('hex')}`;
      const item: Series = {
        input,
        namespace,
        path: `/apis/${EVENTS_API}/namespaces/${namespace}/events`,
        name: `${name.slice(0, LONGEST_NAME - suffix.length)}${suffix}`,
        count: 1,
        written: 0,
        lastSeen,
        lastSeenAt: clock.now(),
      };
      series.set(key, item);
      enqueue(item);
    },
    async flush() {
      while (writing !== undefined) await writing;
    },
    async stop() {
      stopped = true;
      cancelTidy();
      for (const item of series.values()) if (item.count > item.written) enqueue(item);
      while (writing !== undefined) await writing;
    },
  };
}

/** What stays the same when another event fails for it: its message names the event. */
function reasonOf(error: unknown): string {
  if (!(error instanceof ApiError)) return 'no answer';
  return [error.code, error.reason, ...error.causes.map(({ reason }) => reason)].join(' ');
}

function toEvent({ input, name, lastSeen }: Series, options: RecorderOptions): object {
  const { apiVersion, kind, metadata } = input.regarding;
  const { namespace = 'default', uid, resourceVersion } = metadata;
  return {
    apiVersion: EVENTS_API,
    kind: 'Event',
    metadata: { name, namespace },
    eventTime: lastSeen,
    reportingController: options.reportingController,
    reportingInstance: options.reportingInstance,
    action: input.action,
    reason: input.reason,
    type: input.type,
    note: input.note.slice(0, LONGEST_NOTE),
    regarding: { apiVersion, kind, name: metadata.name, namespace: metadata.namespace, uid, resourceVersion },
  };
}
