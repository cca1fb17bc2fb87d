import { isDeepStrictEqual } from 'node:util';
import type { OutboundSocket } from '../haraka.ts';
import { type CommandWatch, quit } from './command-watch.ts';
import type { TlsTerms } from './tls-level.ts';

/** Mails over one connection; some servers count them. */
const maxMails = 100;
/** Milliseconds that a connection waits for its next mail, and for the other side to close once it was told QUIT. */
const idleMs = 2_000;
const closingMs = 5_000;

/** All that decides how a connection was opened. Only a delivery that asks for the very same may use it again. */
export interface Purpose {
  /** Name of the Route; undefined for mail servers that DNS has named. */
  readonly route: string | undefined;
  readonly address: string;
  readonly port: number;
  readonly lmtp: boolean;
  readonly helo: string | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly tls: TlsTerms;
}

/** A connection to a next hop, with all that was put on it when it was opened. */
export interface Connection {
  readonly socket: OutboundSocket;
  readonly watch: CommandWatch;
  readonly purpose: Purpose;
  /** Mails that it has taken. */
  mails: number;
}

const spokenTo = ['line', 'error', 'timeout', 'close', 'end', 'secure'] as const;

/** Connections that have delivered a mail and wait a moment for another one: most of a delivery's cost is in opening them. */
export class ConnectionPool {
  private readonly idle = new Map<string, Connection[]>();
  private closed = false;

  /** The connection that was used last for the same purpose: it is the least likely to have died. */
  take(purpose: Purpose): Connection | undefined {
    const waiting = this.idle.get(placeOf(purpose));
    const found = waiting?.findLast((each) => isDeepStrictEqual(each.purpose, purpose));
    if (found === undefined) return undefined;
    this.forget(found);
    forgetListeners(found.socket);
    return found;
  }

  /**
   * Keeps a connection on which a mail was delivered, and nothing is under way.
   * @returns false if it has done its part: then it is to be closed as always.
   */
  give(connection: Connection): boolean {
    connection.mails += 1;
    if (this.closed || connection.mails >= maxMails) return false;
    const { purpose, socket } = connection;
    const place = placeOf(purpose);
    forgetListeners(socket);
    for (const event of ['line', 'error', 'close', 'end']) socket.once(event, () => this.drop(connection));
    socket.once('timeout', () => this.end(connection));
    socket.setTimeout(idleMs);
    this.idle.set(place, [...(this.idle.get(place) ?? []), connection]);
    return true;
  }

  /** Ends what waits; from now on nothing is kept. */
  close(): void {
    this.closed = true;
    for (const connection of [...this.idle.values()].flat()) this.end(connection);
  }

  /** The other side has spoken or gone: nothing is to be said to it any more. */
  private drop(connection: Connection): void {
    this.forget(connection);
    forgetListeners(connection.socket);
    connection.socket.destroy();
  }

  private end(connection: Connection): void {
    this.forget(connection);
    const { socket, watch } = connection;
    forgetListeners(socket);
    for (const event of ['error', 'timeout', 'close']) socket.once(event, () => socket.destroy());
    socket.setTimeout(closingMs);
    watch.begin();
    socket.write(quit);
    socket.end();
  }

  private forget(connection: Connection): void {
    const place = placeOf(connection.purpose);
    const others = (this.idle.get(place) ?? []).filter((each) => each !== connection);
    if (others.length === 0) this.idle.delete(place);
    else this.idle.set(place, others);
  }
}

function placeOf({ address, port }: Purpose): string {
  return `${address} ${port}`;
}

function forgetListeners(socket: OutboundSocket): void {
  for (const event of spokenTo) socket.removeAllListeners(event);
  // An error that nobody listens to would end the process.
  socket.on('error', () => undefined);
}
