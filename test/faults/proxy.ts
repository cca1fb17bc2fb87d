// A proxy in front of a real kube-apiserver that makes what goes wrong in clusters go wrong on demand.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type http from 'node:http';
import { createSecureServer, type Http2ServerRequest } from 'node:http2';
import https from 'node:https';
import type { Server, Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { copyEvents, type EditedEvents, eventLine, statusObject, type WatchEvent } from './watch-lines.ts';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  /** `list` and `watch` are of collections; `write` is everything but GET. */
  readonly kind: 'list' | 'watch' | 'get' | 'write';
  /** Resource name in the path: `configmaps`; empty for paths outside of it. */
  readonly plural: string;
  readonly query: Readonly<Record<string, string>>;
  /** The client's User-Agent: tells the operator from kubectl. */
  readonly agent: string;
  /** Of HTTP: `2.0` or `1.1`. */
  readonly version: string;
}

type Fault =
  /** Answers instead of the server. */
  | {
      readonly do: 'refuse';
      readonly code: number;
      readonly reason: string;
      /** Seconds, for the header of that name. */
      readonly retryAfter?: number;
    }
  /** Waits before it asks the server. */
  | { readonly do: 'delay'; readonly ms: number }
  /** Cuts the connection: `before` the server was asked, or `after` it has done the work, so that only the answer is lost. */
  | { readonly do: 'cut'; readonly when: 'before' | 'after' }
  /** Calls out, for example to kill the client; `after` means: when the server has done the work and before the answer. */
  | { readonly do: 'call'; readonly when: 'before' | 'after'; readonly run: () => void | Promise<void> }
  /** Answers a LIST as it answered the first time that it was asked so: a replica of the API server that lags behind. */
  | { readonly do: 'answerAsBefore' }
  /** Edits the events of a watch; `index` counts the events that this fault has seen, from 1. */
  | { readonly do: 'edit'; readonly edit: (event: WatchEvent, index: number) => EditedEvents };

export interface FaultRule {
  readonly fault: Fault;
  /** Which requests; all by default. */
  readonly match?: (request: SeenRequest) => boolean;
  /** How many matching requests to let pass before; none by default. `skip: n - 1, times: 1` hits the n-th. */
  readonly skip?: number;
  /** How many to hit; all by default. */
  readonly times?: number;
}

interface OpenWatch {
  readonly request: SeenRequest;
  /** Sends an event of our own to the client. */
  send(event: WatchEvent): void;
  /** Ends the stream properly, as a server does at its time limit. */
  end(): void;
}

export interface FaultProxy {
  /** `https://127.0.0.1:port`; for `controlPlane.kubeconfigFor(identity, proxy.url)`. */
  readonly url: string;
  /** Every request so far, also refused ones. Assign `length = 0` to count anew. */
  readonly requests: SeenRequest[];
  /** Watches open now, by the clients' connections. */
  readonly watches: readonly OpenWatch[];
  /**
   * Faults injected so far: requests hit, of a rule with `times`; one for each other rule that hit anything; and connections cut,
   * the server hidden, a watch spoken into or ended, each time.
   */
  readonly injections: number;
  /** Adds a fault; the first that matches wins. Returns what takes it away. */
  inject(rule: FaultRule): () => void;
  /** Cuts all connections that are open now, watches too. */
  cutConnections(): void;
  /** `false`: nobody listens on the port and all connections are cut; `true`: it listens on the same port again. */
  setReachable(reachable: boolean): Promise<void>;
  stop(): Promise<void>;
}

export interface FaultProxyOptions {
  /** What it offers to clients: HTTP/2 besides HTTP/1.1, as the API server does, or only the latter. HTTP/2 by default. */
  readonly newest?: 'HTTP/2' | 'HTTP/1.1';
}

type Request = http.IncomingMessage | Http2ServerRequest;
/** What the answers of both versions of HTTP have. */
interface Response extends Writable {
  writeHead(code: number, headers: http.OutgoingHttpHeaders): unknown;
  flushHeaders?(): void;
}

/** Starts a proxy in front of the control plane. It shows the server's own certificate, so clients need not know. */
export async function startFaultProxy(
  controlPlane: Pick<ControlPlane, 'url' | 'tls'>,
  { newest = 'HTTP/2' }: FaultProxyOptions = {},
): Promise<FaultProxy> {
  const cert = await readFile(controlPlane.tls.certFile);
  const key = await readFile(controlPlane.tls.keyFile);
  const upstream = new https.Agent({ ca: cert, keepAlive: true });
  const requests: SeenRequest[] = [];
  const watches: OpenWatch[] = [];
  const rules: ActiveRule[] = [];
  const sockets = new Set<Socket>();
  const firstLists = new Map<string, { headers: http.IncomingHttpHeaders; body: Buffer }>();
  let cuts = 0;
  let injectedBefore = 0;

  const listener = (request: Request, response: Response) => {
    handle(request, response).catch(() => cut(request));
  };
  const server =
    newest === 'HTTP/2'
      ? createSecureServer(
          { cert, key, allowHTTP1: true, settings: { maxConcurrentStreams: streamsOfApiServer } },
          listener,
        )
      : https.createServer({ cert, key }, listener);
  // Raw TCP connections: a client that hangs in the TLS handshake must be cut too.
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  });
  server.on('tlsClientError', () => undefined);
  await listen(server, 0);
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;

  async function handle(request: Request, response: Response): Promise<void> {
    const seen = describeRequest(request);
    requests.push(seen);
    const rule = rules.find((candidate) => candidate.hits(seen));
    const fault = rule?.fault;
    if (fault?.do === 'refuse') {
      request.resume();
      const body = JSON.stringify(statusObject(fault.code, fault.reason, `injected ${fault.reason}`));
      const { retryAfter } = fault;
      const headers = {
        'content-type': 'application/json',
        ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }),
      };
      response.writeHead(fault.code, headers);
      response.end(body);
      return;
    }
    if (fault?.do === 'delay') await delay(fault.ms);
    if (fault?.do === 'call' && fault.when === 'before') await fault.run();
    if (fault?.do === 'cut' && fault.when === 'before') {
      cut(request);
      return;
    }
    const listing = `${request.headers.accept} ${request.url}`;
    const before = fault?.do === 'answerAsBefore' ? firstLists.get(listing) : undefined;
    if (before !== undefined) {
      request.resume();
      response.writeHead(200, before.headers);
      response.end(before.body);
      return;
    }
    const answer = await forward(request, response);
    if (fault?.do === 'call' && fault.when === 'after') await fault.run();
    if (fault?.do === 'cut' && fault.when === 'after') {
      answer.destroy();
      cut(request);
      return;
    }
    const headers = ofExchange(answer.headers);
    response.writeHead(answer.statusCode ?? 502, headers);
    if (seen.kind === 'list' && answer.statusCode === 200 && !firstLists.has(listing)) {
      const body = await buffer(answer);
      firstLists.set(listing, { headers, body });
      response.end(body);
      return;
    }
    if (seen.kind !== 'watch' || answer.statusCode !== 200) {
      answer.pipe(response);
      return;
    }
    await relayWatch(seen, answer, response, rule);
  }

  function forward(request: Request, response: Response): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      const { 'accept-encoding': _compressed, host: _host, ...headers } = ofExchange(request.headers);
      const options = { agent: upstream, method: request.method, headers };
      const forwarded = https.request(new URL(request.url ?? '/', controlPlane.url), options, resolve);
      forwarded.once('error', reject);
      response.once('close', () => forwarded.destroy());
      request.pipe(forwarded);
    });
  }

  async function relayWatch(
    seen: SeenRequest,
    answer: http.IncomingMessage,
    response: Response,
    rule: ActiveRule | undefined,
  ): Promise<void> {
    const watch: OpenWatch = {
      request: seen,
      send(event) {
        cuts += 1;
        response.write(eventLine(event));
      },
      end() {
        cuts += 1;
        response.end();
      },
    };
    watches.push(watch);
    response.once('close', () => watches.splice(watches.indexOf(watch), 1));
    response.flushHeaders?.();
    const edit = rule?.fault.do === 'edit' ? rule.fault.edit : undefined;
    await copyEvents(answer, response, (event) => {
      if (edit === undefined || rule === undefined) return [event];
      rule.events += 1;
      return edit(event, rule.events);
    });
    response.end();
    answer.destroy();
  }

  const cutConnections = () => {
    cuts += 1;
    for (const socket of sockets) socket.destroy();
  };

  return {
    url: `https://127.0.0.1:${port}`,
    requests,
    watches,
    inject(rule) {
      const active = activate(rule);
      rules.push(active);
      return () => {
        injectedBefore += active.injections;
        rules.splice(rules.indexOf(active), 1);
      };
    },
    cutConnections,
    get injections() {
      return rules.reduce((sum, rule) => sum + rule.injections, cuts + injectedBefore);
    },
    async setReachable(reachable) {
      if (reachable === server.listening) return;
      if (reachable) {
        await listen(server, port);
        return;
      }
      const closed = once(server, 'close');
      server.close();
      cutConnections();
      await closed;
    },
    async stop() {
      upstream.destroy();
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** The n-th write from now on (counted from 1), of any client or of those that `match` names. */
export function nthWrite(
  n: number,
  match: (request: SeenRequest) => boolean = () => true,
): Omit<FaultRule, 'fault'> {
  return { match: (request) => request.kind === 'write' && match(request), skip: n - 1, times: 1 };
}

/** Streams on one connection that it allows: http2MaxStreamsPerConnection, by default what k8s.io/apiserver sets. */
const streamsOfApiServer = 250;

/** Ends the connection that a request came on, with all others on it. */
function cut(request: Request): void {
  if ('stream' in request) request.stream.session?.destroy();
  else request.socket.destroy();
}

/** Headers without those of one connection (RFC 9110, 7.6.1), nor HTTP/2's own. */
function ofExchange(headers: http.IncomingHttpHeaders): http.IncomingHttpHeaders {
  const ofConnection = ['connection', 'keep-alive', 'transfer-encoding'];
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !name.startsWith(':') && !ofConnection.includes(name)),
  );
}

interface ActiveRule {
  readonly fault: Fault;
  /** Events seen by an `edit` fault. */
  events: number;
  readonly injections: number;
  hits(request: SeenRequest): boolean;
}

function activate({
  fault,
  match = () => true,
  skip = 0,
  times = Number.POSITIVE_INFINITY,
}: FaultRule): ActiveRule {
  let matched = 0;
  return {
    fault,
    events: 0,
    get injections() {
      const hits = Math.max(0, Math.min(matched - skip, times));
      return Number.isFinite(times) ? hits : Math.min(hits, 1);
    },
    hits(request) {
      if (!match(request)) return false;
      matched += 1;
      return matched > skip && matched <= skip + times;
    },
  };
}

function describeRequest(request: Request): SeenRequest {
  const url = new URL(request.url ?? '/', 'https://proxy');
  const query = Object.fromEntries(url.searchParams);
  const method = request.method ?? 'GET';
  // /api/v1/... or /apis/group/version/..., then maybe namespaces/<name>/, then plural[/name[/subresource]].
  const [, rest = ''] =
    /^\/(?:api\/[^/]+|apis\/[^/]+\/[^/]+)\/(?:namespaces\/[^/]+\/(?=.))?(.*)$/.exec(url.pathname) ?? [];
  const [plural = '', name] = rest.split('/');
  const watching = query['watch'] === 'true' || query['watch'] === '1';
  const reading = watching ? 'watch' : plural !== '' && name === undefined ? 'list' : 'get';
  return {
    method,
    path: url.pathname,
    kind: method === 'GET' ? reading : 'write',
    plural,
    query,
    agent: request.headers['user-agent'] ?? '',
    version: request.httpVersion,
  };
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
}
