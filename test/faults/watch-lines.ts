// The stream of a watch, taken apart into events and put together again.

import type { Readable, Writable } from 'node:stream';

export interface WatchEvent {
  readonly type: string;
  readonly object: Readonly<Record<string, unknown>>;
}

/** What to do with an event on its way: pass on these instead of it (none drops it), or end the stream. */
export type EditedEvents = readonly WatchEvent[] | 'close';

/**
 * Copies a watch from the server to a client, event by event.
 *
 * @returns When the stream has ended, by the server or by `edit`.
 */
export async function copyEvents(
  from: Readable,
  to: Writable,
  edit: (event: WatchEvent) => EditedEvents,
): Promise<void> {
  let rest = '';
  for await (const chunk of from.setEncoding('utf8')) {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const event: WatchEvent = JSON.parse(line);
      const edited = edit(event);
      if (edited === 'close') return;
      // The test may have ended the client's side meanwhile.
      if (to.writableEnded) return;
      for (const next of edited) to.write(eventLine(next));
    }
  }
}

/** An event as the server sends it. */
export function eventLine(event: WatchEvent): string {
  return `${JSON.stringify(event)}\n`;
}

/** The ERROR event that a watch gets, with HTTP 200, when the server no longer has its resource version. */
export function expiredEvent(): WatchEvent {
  return errorEvent(410, 'Expired', 'too old resource version');
}

/** An ERROR event of any other kind. */
export function errorEvent(code: number, reason: string, message: string): WatchEvent {
  return { type: 'ERROR', object: statusObject(code, reason, message) };
}

/** A bookmark of this resource version. */
export function bookmarkEvent(apiVersion: string, kind: string, resourceVersion: string): WatchEvent {
  return { type: 'BOOKMARK', object: { apiVersion, kind, metadata: { resourceVersion } } };
}

/** The body with which an API server refuses. */
export function statusObject(code: number, reason: string, message: string): Record<string, unknown> {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code };
}
