import { readHeaders } from '../policy/headers.ts';
import type { DataFacts, MarkedLeg } from '../policy/types.ts';
import { hopMarkerOf } from './hop-marks.ts';

/** A message that is about to be filed. */
export interface Copies {
  readonly marked: readonly MarkedLeg[];
  readonly envelopeFrom: string;
  /** Header as the client sent it: the marks of earlier hops are in it. */
  readonly received: DataFacts['headers'];
  /** As it will be filed, with what we have added: the Message-ID in it is the one that comes back. */
  readonly wire: Buffer;
  /** Of the secret bundle; absent until it was made. */
  readonly hopKey: string | undefined;
  /** Seconds since the epoch. */
  readonly now: number;
}

/**
 * Every copy that leaves for a Route says so in its own mark (G10). Internal mail for the gateway is nothing without: unmarked it
 * would come back as anybody's, so it waits until there is a key.
 * @throws Error if a copy for a gateway cannot be marked.
 */
export function markCopies({
  marked,
  envelopeFrom,
  received,
  wire,
  hopKey,
  now,
}: Copies): readonly MarkedLeg[] {
  if (!marked.some(({ leg }) => leg.hop.kind === 'Route')) return marked;
  if (hopKey === undefined) {
    const gateway = marked.find(({ leg }) => leg.purpose === 'Gateway');
    if (gateway !== undefined) throw new Error(`no hop key yet to send mail of ${gateway.leg.domain} with`);
    return marked;
  }
  const marker = hopMarkerOf(hopKey);
  const isId = ([name]: readonly [string, string]) => name.toLowerCase() === 'message-id';
  // One is added only where there is none.
  const fields = received.some(isId) ? received : [...received, ...headerOf(wire).filter(isId)];
  return marked.map((each) => ({
    ...each,
    headers: [...marker.marksFor(each.leg, fields, envelopeFrom, now), ...each.headers],
  }));
}

function headerOf(wire: Buffer): DataFacts['headers'] {
  const end = wire.indexOf('\r\n\r\n');
  return readHeaders(wire.toString('utf8', 0, end === -1 ? wire.length : end));
}
