import { isDeepStrictEqual } from 'node:util';
import type { OutboundSocket } from '../haraka.ts';
import { type CommandWatch, quit } from './command-watch.ts';
import type { TlsTerms } from './tls-level.ts';

/** Mails over one connection; some servers count them. */
const maxMails = 100;
/** Connections that wait at a time. */
const maxIdle = 100;
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
  /** Some of the timers of a connection are as it was opened with. */
  readonly timeoutSeconds: number;
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

/**
 * Connections that have delivered a mail and wait a moment for another one: most of a delivery's cost is in opening them. Those of
 * a Route count as its connections: one is closed for each that is opened beside them.
 */
export class ConnectionPool {
  private readonly idle = new Set<Connection>();
  private closed = false;

  /** The connection that was used last for the same purpose: it is the least likely to have died. */
  take(purpose: Purpose): Connection | undefined {
    const waiting = [...this.idle];
    const found = waiting.findLast((each) => isDeepStrictEqual(each.purpose, purpose));
    if (found !== undefined) {
      this.idle.delete(found);
      forgetListeners(found.socket);
      return found;
    }
    const other =
      purpose.route === undefined ? undefined : waiting.find((each) => each.purpose.route === purpose.route);
    if (other !== undefined) this.end(other);
    return undefined;
  }

  /**
   * Keeps a connection on which a mail was delivered, and nothing is under way.
   * @returns false if it has done its part: then it is to be closed as always.
   */
  give(connection: Connection): boolean {
    connection.mails += 1;
    if (this.closed || connection.mails >= maxMails || this.idle.size >= maxIdle) return false;
    const { socket } = connection;
    forgetListeners(socket);
    // Whatever is said now is no answer to the next mail. What is left of the last answer's line shows in the next one.
    for (const event of ['line', 'error', 'close', 'end']) socket.once(event, () => this.drop(connection));
    socket.once('timeout', () => this.end(connection));
    socket.setTimeout(idleMs);
    this.idle.add(connection);
    return true;
  }

  /** Ends what waits; from now on nothing is kept. */
  close(): void {
    this.closed = true;
    for (const connection of this.idle) this.end(connection);
  }

  /** Says goodbye on a connection that is of no more use, and hears nothing more from it. */
  end(connection: Connection): void {
    this.idle.delete(connection);
    const { socket, watch } = connection;
    forgetListeners(socket);
    for (const event of ['error', 'timeout', 'close']) socket.once(event, () => socket.destroy());
    socket.setTimeout(closingMs);
    watch.begin();
    socket.write(quit);
    socket.end();
  }

  /** The other side has spoken or gone: nothing is to be said to it any more. */
  private drop(connection: Connection): void {
    this.idle.delete(connection);
    forgetListeners(connection.socket);
    connection.socket.destroy();
  }
}

function forgetListeners(socket: OutboundSocket): void {
  for (const event of spokenTo) socket.removeAllListeners(event);
  // An error that nobody listens to would end the process.
  socket.on('error', () => undefined);
}
