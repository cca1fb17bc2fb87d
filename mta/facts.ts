import { parseMailbox } from '../policy/mailbox.ts';
import type { ConnectFacts, DataFacts } from '../policy/types.ts';
import type { LoadedBundle } from './bundle-watch.ts';
import { hopMarkerOf } from './hop-marks.ts';
import type { Message } from './message.ts';
import type { Envelope, Session } from './session.ts';

/** The client as Haraka's connection shows it: the peer of the socket, or what a listed proxy said of it. */
export function connectFacts(session: Session, now: number): ConnectFacts {
  const { connection, account } = session;
  return {
    now,
    peer: connection.remote.ip,
    tls: connection.tls.enabled,
    ...(account && { account }),
  };
}

export function dataFacts(
  session: Session,
  envelope: Envelope,
  message: Message,
  { now, hopKey }: { now: number; hopKey: string | undefined },
): DataFacts {
  const headers = message.headers();
  const hopMarks = hopKey === undefined ? undefined : hopMarkerOf(hopKey).read(headers, envelope.from, now);
  return {
    ...connectFacts(session, now),
    lookups: envelope.lookups,
    heloName: session.heloName,
    envelopeFrom: envelope.from,
    recipients: envelope.accepted,
    headers,
    ...(hopMarks && { hopMarks }),
    size: message.size,
    smuggling: message.smuggling,
  };
}

/** Label of a recipient's domain for metrics: only hosted names, so that strangers cannot fill the memory with labels. */
export function hostedDomain(loaded: LoadedBundle | undefined, recipient: string): string {
  const domain = parseMailbox(recipient)?.domain;
  return domain !== undefined && loaded?.domains.has(domain) ? domain : 'other';
}
