import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import type { Server as NetServer } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import type { Address } from '@haraka/email-address';
import type { EnvelopeCommand } from './envelope-command.ts';
import type { Envelope, Session } from './session.ts';
import { spareWork } from './spared-work.ts';

/** The parts of Haraka 3.3.4 that Postern touches. Haraka ships no types; what is private is listed in private-api.ts. */

/** One reply of several possible shapes; a DSN object carries code and enhanced status code. */
interface Dsn {
  readonly code: number;
  readonly reply: string;
}

export type Next = (code?: number, message?: unknown) => void;

export interface HarakaTransaction {
  readonly uuid: string;
  mail_from: Address;
  rcpt_to: Address[];
  data_bytes: number;
  readonly message_stream: { destroy(): void };
  /** Ours (session.ts). */
  postern?: Envelope;
}

interface HarakaSocket {
  readonly localPort?: number;
  write(data: string): boolean;
}

export interface HarakaConnection {
  readonly uuid: string;
  readonly client: HarakaSocket;
  readonly server: NetServer;
  readonly remote: { ip: string; port: number; is_local: boolean };
  readonly local: { ip: string; port: number; info: string };
  readonly hello: { host: string | null; verb: string | null };
  readonly tls: {
    enabled: boolean;
    advertised: boolean;
    /** Empty without TLS. */
    readonly cipher: {
      readonly name?: string | undefined;
      readonly standardName?: string | undefined;
      readonly version?: string | undefined;
    };
  };
  readonly proxy: { allowed: boolean };
  readonly state: number;
  capabilities: string[];
  transaction: HarakaTransaction | null;
  /** Ours (session.ts, envelope-command.ts). */
  postern?: Session;
  posternCommand?: EnvelopeCommand;
  accumulate_data(line: Buffer | string): void;
  cmd_mail(argument: string): void;
  cmd_rcpt(argument: string): void;
  respond(code: number, message: unknown, after?: () => void): void;
  disconnect(): void;
}

/** A mail in the queue: one leg, so one recipient. */
export interface HarakaMail extends EventEmitter {
  readonly filename: string;
  num_failures: number;
  readonly todo: {
    readonly uuid: string;
    readonly domain: string;
    readonly queue_time: number;
    readonly mail_from: Address;
    readonly rcpt_to: (Address & { dsn_smtp_response?: string; reason?: string })[];
    readonly notes: Record<string, unknown>;
  };
  next_cb(): void;
  /** Hops that are still to be tried in this attempt. */
  mxlist?: HarakaHop[];
  force_tls?: boolean;
  /** Octets of the queue file, where the message begins in it, and how it is read. */
  file_size: number;
  data_start: number;
  size_file(): void;
  read_todo(): Promise<void>;
  _stream_bytes_from(path: string, range: { start: number; end: number }): Promise<Buffer>;
  /** The message in the queue file. */
  data_stream(): AsyncIterable<Buffer>;
  get_force_tls(hop: HarakaHop): boolean;
  bounce(reason: unknown, extra?: HarakaFailure): void;
  bounce_respond(code: number, message: unknown): void;
  deferred_respond(code: number, message: unknown, failure: unknown): Promise<void>;
  /** How many deliveries and reports it is part of; `discard` ends one, and the mail with the last. */
  refcount: number;
  discard(): void;
  temp_fail(reason: unknown, extra?: HarakaFailure): void;
  delivered(...details: readonly unknown[]): void;
  try_deliver(): void;
  try_deliver_host_on_socket(hop: HarakaHop, host: string, port: number, socket: OutboundSocket): void;
}

export interface HarakaFailure {
  readonly mx?: unknown;
  readonly bounce_recips?: readonly unknown[];
  readonly fail_recips?: readonly unknown[];
}

/** Where one delivery attempt goes (HarakaMx). */
export interface HarakaHop {
  exchange: string;
  port: number;
  using_lmtp?: boolean;
  auth_user?: string;
  auth_pass?: string;
  bind_helo?: string;
}

/** The client socket of a delivery: plain at first, TLS after `upgrade`. */
export interface OutboundSocket extends EventEmitter {
  /** The session on it has begun already: Haraka goes on with MAIL. */
  __fromPool?: boolean;
  upgrade(options: Record<string, unknown>, done: UpgradeDone): void;
  isSecure(): boolean;
  readonly cleartext?: import('node:tls').TLSSocket;
  readonly targetsocket: {
    readonly encrypted?: boolean;
    setNoDelay?(on: boolean): void;
    cork?(): void;
    uncork?(): void;
  };
  setTimeout(milliseconds: number): void;
  write(data: string | Uint8Array, encoding?: string, done?: (error?: Error) => void): boolean;
  end(): void;
  destroy(): void;
}

type UpgradeDone = (authorized: boolean, error: unknown, certificate: unknown, cipher: unknown) => void;

interface Queue {
  push(mail: HarakaMail): void;
  length(): number;
}

export interface HarakaOutbound {
  readonly delivery_queue: Queue;
  readonly temp_fail_queue: {
    /** What waits, the next one due first; times are milliseconds since the epoch. */
    readonly queue: readonly {
      readonly id: string;
      fire_time: number;
      readonly cb: (() => void) | null;
    }[];
    /** Starts what is due; called every second. */
    fire(): void;
    add(id: string, milliseconds: number, fire: () => void): void;
    /** @throws if there is none. */
    discard(id: string): unknown;
    length(): number;
    shutdown(): void;
  };
  readonly qfile: {
    name(parts?: { uid: string; arrival?: number; next_attempt?: number; attempts?: number }): string;
    readonly platformDOT: string;
  };
  readonly HMailItem: {
    new (filename: string, path: string, notes?: unknown): HarakaMail;
    readonly prototype: HarakaMail;
  };
  init_queue(pid?: number): Promise<void>;
  /** `in progress/waiting for delivery/deferred` */
  get_stats(): string;
}

/** The listener with TLS from the first byte has its TLS server inside. */
type Listener = NetServer & { readonly tlsServer?: TlsServer };

interface HarakaServer {
  readonly listeners: Listener[];
  get_smtp_server(...args: unknown[]): Promise<NetServer>;
  createServer(): void;
  stopListeners(): void;
}

/** What Haraka hands to a plugin's `register` as `this`. */
export interface HarakaPlugin {
  register_hook(hook: string, method: string, priority: number): void;
  [method: string]: unknown;
}

export interface Haraka {
  readonly server: HarakaServer;
  readonly outbound: HarakaOutbound;
  readonly connectionClass: { readonly prototype: HarakaConnection };
  readonly tlsSocket: {
    /** Options of TLS sockets by host name; `*` for all that have none of their own. */
    readonly certsByHost: Readonly<
      Record<string, { key: unknown[]; cert: unknown[] } & Record<string, unknown>>
    >;
    load_default_opts(): void;
  };
  readonly netUtils: { is_haproxy_allowed(ip: string): boolean };
  readonly constants: {
    readonly cont: number;
    readonly ok: number;
    readonly deny: number;
    readonly denysoft: number;
    readonly denydisconnect: number;
    readonly denysoftdisconnect: number;
    readonly delay: number;
    readonly connection: { readonly state: Readonly<Record<string, number>> };
  };
  readonly dsn: { create(code: number, text: string, subject: number, detail: number): Dsn };
}

/**
 * Loads Haraka into this process. Its modules read their configuration while they are loaded, from `$HARAKA/config`, so the
 * home must be complete before; and they do it once, so there is one Haraka in a process.
 * @param home directory that becomes $HARAKA.
 */
export function loadHaraka(home: string): Haraka {
  const haraka = loadStockHaraka(home);
  readClockAnew(fromHaraka('./outbound/queue.js'));
  noteUnreached(fromHaraka('./outbound/client_pool.js'));
  spareWork({
    config: fromHaraka('haraka-config'),
    os: fromHaraka('node:os'),
    logger: fromHaraka('./logger.js'),
    constants: fromHaraka('haraka-constants'),
    resultStore: fromHaraka('haraka-results'),
    logging: [haraka.connectionClass, haraka.outbound.HMailItem],
  });
  return haraka;
}

/** As `loadHaraka`, with nothing in it changed: what others run. */
export function loadStockHaraka(home: string): Haraka {
  process.env['HARAKA'] = home;
  // Not haraka.js: it installs signal handlers of its own and exits at once on SIGTERM (or ignores it, HT9).
  const server: HarakaServer = fromHaraka('./server.js');
  const outbound: HarakaOutbound = fromHaraka('./outbound/index.js');
  const connection: { Connection: Haraka['connectionClass'] } = fromHaraka('./connection.js');
  const netUtils: Haraka['netUtils'] = fromHaraka('haraka-net-utils');
  const constants: Haraka['constants'] = fromHaraka('haraka-constants');
  const dsn: Haraka['dsn'] = fromHaraka('haraka-dsn');
  const tlsSocket: Haraka['tlsSocket'] = fromHaraka('./tls_socket.js');
  return { server, outbound, tlsSocket, connectionClass: connection.Connection, netUtils, constants, dsn };
}

const unreached = new WeakMap<HarakaHop, string>();

/** Why no connection to a host came about, such as `ECONNREFUSED`; undefined if one did, or if none was tried. */
export function whyUnreached(hop: HarakaHop): string | undefined {
  return unreached.get(hop);
}

/** Haraka logs why a host cannot be reached, and forgets it. */
function noteUnreached(pool: {
  get_client(hop: HarakaHop, done: (error: unknown, socket: unknown) => void): void;
}): void {
  const connect = pool.get_client;
  pool.get_client = function (hop, done) {
    unreached.delete(hop);
    connect.call(this, hop, (error, socket) => {
      const text = String(error);
      if (error)
        unreached.set(hop, /\bE[A-Z]{3,}\b/.exec(text)?.[0] ?? (/timed out/.test(text) ? 'ETIMEDOUT' : text));
      done(error, socket);
    });
  };
}

/** From where Haraka stands: its libraries must be the very ones that it uses. */
const fromHaraka = createRequire(createRequire(import.meta.url).resolve('haraka/package.json'));

/**
 * Haraka notes the time at which it reads its queue, and when deferred mail is due it subtracts that time from the due one a second
 * time: after each restart mail would wait twice as long as was left (HT8).
 */
function readClockAnew(queue: object): void {
  Object.defineProperty(queue, 'cur_time', { get: () => new Date(), set: () => undefined });
}

/**
 * Lets Haraka listen and take up the mail that lies in its queue.
 * @param listeners how many addresses it was told to listen on.
 * @returns the listening servers in the order in which smtp.ini names them.
 */
export async function startHaraka({ server, outbound }: Haraka, listeners: number): Promise<NetServer[]> {
  const load = outbound.init_queue;
  const loaded = new Promise<void>((resolve) => {
    outbound.init_queue = async (pid) => {
      await load(pid);
      resolve();
    };
  });
  server.createServer();
  await loaded;
  if (server.listeners.length < listeners) throw new Error('not every address is listened on');
  return [...server.listeners];
}
