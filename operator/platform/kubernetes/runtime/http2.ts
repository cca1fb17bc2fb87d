// HTTP/2: many exchanges on one connection. An operator of a hundred tenants has 500 watches open; a TLS connection for each costs
// 130 KiB of memory and a handshake, on both sides.
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { isIP } from 'node:net';
import tls from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { type Answer, type Outgoing, silence, TCP_KEEP_ALIVE_MS } from './transport.ts';

/** For TCP, TLS and the server's SETTINGS, as client-go for TLS. */
const CONNECT_MS = 10_000;
/** A connection that carries many watches must not be found dead by the silence of each: as client-go. */
const PING_EVERY_MS = 30_000;
const PING_ANSWER_MS = 15_000;
/** What the server may send before we have taken it: of one answer, and of all. The default of 64 KiB makes a list wait for us. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
/** Node.js counts bodies that wait to be sent, and refuses streams above it. */
const SESSION_MEGABYTES = 256;
/** How often a request is sent at most that no server has looked at. */
const MOST_ATTEMPTS = 3;

const credentialFields = [
  'ca',
  'cert',
  'key',
  'passphrase',
  'pfx',
  'rejectUnauthorized',
  'servername',
] as const;
type TlsCredentials = Pick<Outgoing['credentials'], (typeof credentialFields)[number]>;

export interface Http2Transport {
  /**
   * @returns undefined if the server does not speak HTTP/2
   * @throws Error if there is no answer
   */
  send(outgoing: Outgoing): Promise<Answer | undefined>;
  /** Closes connections as soon as nothing is in flight on them. */
  close(): void;
}

interface Connection {
  readonly session: ClientHttp2Session;
  readonly credentials: TlsCredentials;
  streams: number;
}

export interface Http2Times {
  readonly connectMs?: number;
  readonly pingEveryMs?: number;
  readonly pingAnswerMs?: number;
}

/** @param times shorter in tests */
export function createHttp2Transport(server: URL, times: Http2Times = {}): Http2Transport {
  const { connectMs = CONNECT_MS, pingEveryMs = PING_EVERY_MS, pingAnswerMs = PING_ANSWER_MS } = times;
  const connections = new Set<Connection>();
  /** One attempt at a time: hundreds of watches begin together. */
  let connecting: Promise<void> | undefined;
  let speaksHttp1 = false;

  /** A connection with room for a stream; undefined if the server does not speak HTTP/2. */
  async function acquire(credentials: TlsCredentials, signal: AbortSignal): Promise<Acquired | undefined> {
    for (let isNew = false; !speaksHttp1; isNew = true) {
      for (const connection of connections) {
        if (!isDeepStrictEqual(connection.credentials, credentials)) connection.session.close();
        else if (hasRoom(connection)) {
          // At once, for those who wait with us would else take the same place; what is too much waits in Node.js without an end.
          hold(connection);
          return { connection, isNew };
        }
      }
      const attempt = connecting ?? open(credentials);
      connecting = attempt;
      try {
        await abortable(attempt, signal);
      } finally {
        // Done; or it has not come to an end in the time of a request, and the next one had better try anew.
        if (connecting === attempt) connecting = undefined;
      }
      // Others may have taken all places on what was opened; but a server that leaves at once is not to be pestered.
      if (!speaksHttp1 && ![...connections].some(({ session }) => !session.closed))
        throw new Error(`${server.host} closed the connection`);
    }
    return undefined;
  }

  async function open(credentials: TlsCredentials): Promise<void> {
    const deadline = AbortSignal.timeout(connectMs);
    const socket = await openTls(server, credentials, deadline);
    if (socket.alpnProtocol !== 'h2') {
      speaksHttp1 = true;
      socket.destroy();
      return;
    }
    const session = await openSession(server, socket, deadline);
    const connection = { session, credentials, streams: 0 };
    connections.add(connection);
    const pings = setInterval(() => ping(session, pingAnswerMs), pingEveryMs).unref();
    session.once('close', () => {
      clearInterval(pings);
      connections.delete(connection);
    });
  }

  async function send(outgoing: Outgoing, attempt = 1): Promise<Answer | undefined> {
    const { signal } = outgoing;
    const acquired = await acquire(tlsCredentials(outgoing.credentials), signal);
    if (acquired === undefined) return undefined;
    const { connection, isNew } = acquired;
    try {
      return await exchange(connection, outgoing);
    } catch (error) {
      if (isTimeout(signal)) {
        // It may be half-open. Nobody else is to wait for it, and watches on it are to know soon.
        connection.session.close();
        ping(connection.session, pingAnswerMs);
      }
      if (signal.aborted || attempt === MOST_ATTEMPTS) throw error;
      // The server may close an idle connection in the moment we take it up again.
      const isStale = !isNew && outgoing.method === 'GET' && connection.session.destroyed;
      if (!isStale && !wasRefused(error)) throw error;
      return send(outgoing, attempt + 1);
    }
  }

  return {
    send,
    close() {
      for (const { session } of connections) session.close();
    },
  };
}

interface Acquired {
  readonly connection: Connection;
  /** Opened for this request, so that a fault of it is no sign of age. */
  readonly isNew: boolean;
}

function hasRoom({ session, streams }: Connection): boolean {
  if (session.closed || session.destroyed) return false;
  return streams < (session.remoteSettings.maxConcurrentStreams ?? Number.POSITIVE_INFINITY);
}

function hold(connection: Connection): void {
  if (connection.streams === 0) connection.session.ref();
  connection.streams += 1;
}

function release(connection: Connection): void {
  connection.streams -= 1;
  if (connection.streams === 0) connection.session.unref();
}

function tlsCredentials(credentials: Outgoing['credentials']): TlsCredentials {
  return Object.fromEntries(
    credentialFields.flatMap((field) =>
      credentials[field] === undefined ? [] : [[field, credentials[field]]],
    ),
  );
}

function openTls(server: URL, credentials: TlsCredentials, deadline: AbortSignal): Promise<tls.TLSSocket> {
  const host = server.hostname.replace(/^\[(.*)\]$/, '$1');
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      host,
      port: Number(server.port || 443),
      ALPNProtocols: ['h2', 'http/1.1'],
      ...(isIP(host) === 0 && { servername: host }),
      ...credentials,
    });
    const giveUp = () => socket.destroy(new Error(`no TLS connection to ${server.host} in time`));
    deadline.addEventListener('abort', giveUp, { once: true });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`${server.host} closed the connection`)));
    socket.once('secureConnect', () => {
      deadline.removeEventListener('abort', giveUp);
      socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
      resolve(socket);
    });
  });
}

/** Resolves when the server has said how many streams it takes. */
function openSession(server: URL, socket: tls.TLSSocket, deadline: AbortSignal): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const session = connect(server, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES },
      maxSessionMemory: SESSION_MEGABYTES,
    });
    const giveUp = () => session.destroy(new Error(`no HTTP/2 from ${server.host} in time`));
    deadline.addEventListener('abort', giveUp, { once: true });
    // Its streams tell what became of them; without a listener the process would end.
    session.on('error', reject);
    session.once('close', () => reject(new Error(`${server.host} closed the connection`)));
    session.once('remoteSettings', ({ maxConcurrentStreams }) => {
      deadline.removeEventListener('abort', giveUp);
      // Another connection would have no room either.
      if (maxConcurrentStreams === 0) session.destroy(new Error(`${server.host} takes no requests`));
      if (session.destroyed) return;
      session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
      // Only what is in flight keeps a process from its end.
      session.unref();
      resolve(session);
    });
  });
}

/** Ends the connection, and with it all that waits for it, unless the server answers. */
function ping(session: ClientHttp2Session, answerMs: number): void {
  if (session.destroyed) return;
  const late = setTimeout(
    () => session.destroy(new Error(`no answer to a PING in ${answerMs} ms`)),
    answerMs,
  ).unref();
  session.ping(() => clearTimeout(late));
}

/** Uses the place that was taken on the connection. */
async function exchange(connection: Connection, outgoing: Outgoing): Promise<Answer> {
  const { method, path, headers, body, signal, idleMs } = outgoing;
  let stream: ClientHttp2Stream;
  try {
    const pseudo = { ':method': method, ':path': path };
    stream = connection.session.request({ ...headers, ...pseudo }, { endStream: body === undefined, signal });
  } catch (error) {
    release(connection);
    throw error;
  }
  return new Promise((resolve, reject) => {
    const answerBody = readWhole(stream);
    // Once answered, whoever reads the body is told.
    stream.on('error', reject);
    stream.once('close', () => {
      release(connection);
      reject(new Error('the connection was closed before an answer came'));
    });
    stream.once('response', ({ ':status': code = 0, ...answered }) =>
      resolve({ code, headers: answered, body: answerBody }),
    );
    if (idleMs !== undefined) stream.setTimeout(idleMs, () => stream.destroy(silence(idleMs)));
    if (body !== undefined) stream.end(body);
  });
}

/**
 * The body of the answer, to its end. Called before there is an answer: of a stream that the server has closed, what has come and was
 * not read yet counts as cut off by Node.js for those who begin to read then.
 */
function readWhole(stream: ClientHttp2Stream): AsyncIterable<unknown> {
  const chunks = stream[Symbol.asyncIterator]();
  const first = chunks.next();
  // Whoever reads is told.
  first.catch(() => undefined);
  return (async function* () {
    try {
      for (let next = await first; next.done !== true; next = await chunks.next()) yield next.value;
      // A stream that is cut off with its connection may end like one that is complete: its code tells.
      if (stream.rstCode !== constants.NGHTTP2_NO_ERROR)
        throw new Error('the connection was closed in the middle of an answer');
    } finally {
      stream.destroy();
    }
  })();
}

/** `true` if the server has said that it did nothing: the connection was closing, or had too many streams. */
function wasRefused(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  // Streams that were not yet begun; see RFC 9113, 6.8 and 8.7, for those that were.
  if (error.code === 'ERR_HTTP2_GOAWAY_SESSION' || error.code === 'ERR_HTTP2_INVALID_SESSION') return true;
  return error.code === 'ERR_HTTP2_STREAM_ERROR' && /NGHTTP2_REFUSED_STREAM/.test(error.message);
}

function isTimeout({ aborted, reason }: AbortSignal): boolean {
  return aborted && reason instanceof Error && reason.name === 'TimeoutError';
}

/** The promise, or the signal if that comes first. What was begun goes on for others. */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
