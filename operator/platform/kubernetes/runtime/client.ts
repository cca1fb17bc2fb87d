// Requests to the API server. @kubernetes/client-node is used for what it does well: kubeconfig files, service account
// tokens and exec plugins. Its transport is not: it makes a new TLS connection for each request and knows no deadline.
import type { OutgoingHttpHeaders } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import { type Cluster, KubeConfig } from '@kubernetes/client-node';
import { ApiError, errorFromStatus } from './api-error.ts';
import { createHttp1Transport } from './http1.ts';
import { createHttp2Transport, type Http2Times } from './http2.ts';
import type { Answer, Outgoing } from './transport.ts';

/** Longest wait for a whole answer, unless the request says otherwise. */
const DEFAULT_TIMEOUT_MS = 15_000;
/** Longest answer to hold in memory: etcd stores 1.5 MiB for an object, lists come in pages of 500. */
const LONGEST_ANSWER_BYTES = 512 * 1024 * 1024;
/** A watch event is one object, twice at most. */
const LONGEST_EVENT_CHARACTERS = 16 * 1024 * 1024;
type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** How a PATCH body is meant. The server takes JSON under the apply type too. */
export const patchTypes = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;

interface RequestOptions {
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** `application/json` by default; a PATCH needs one of `patchTypes`. */
  readonly contentType?: string;
  readonly accept?: string;
  readonly signal?: AbortSignal;
  /** Milliseconds for the whole exchange, 15,000 by default. */
  readonly timeoutMs?: number;
}

interface WatchOptions {
  readonly query: NonNullable<RequestOptions['query']>;
  readonly accept?: string;
  readonly signal: AbortSignal;
  /** Milliseconds without a byte after which the connection counts as dead. */
  readonly idleMs: number;
}

export interface ApiClient {
  /**
   * @param path Path without the server, for example `/api/v1/namespaces/a/pods`.
   * @returns The parsed body of a 2xx answer.
   * @throws ApiError for every other answer (its code is the HTTP status) and for none (code 0).
   */
  request(method: Method, path: string, options?: RequestOptions): Promise<unknown>;
  /**
   * Opens a watch and yields its events as parsed JSON, one a line, until the server ends it.
   *
   * @throws ApiError if the server refuses, the connection breaks, or nothing came for `idleMs`.
   */
  watch(path: string, options: WatchOptions): AsyncGenerator<unknown, void, void>;
  /** Closes idle connections. Requests in flight go on. */
  close(): void;
}

/**
 * Reads the kubeconfig file, or what kubectl would read: `$KUBECONFIG`, `~/.kube/config`, the pod's service account.
 *
 * @throws Error if there is no usable context, naming the file.
 */
export function loadKubeConfig(file?: string): KubeConfig {
  const config = new KubeConfig();
  if (file === undefined) config.loadFromDefault();
  else config.loadFromFile(file);
  if (config.getCurrentCluster() === null) {
    throw new Error(
      `${file ?? 'the default kubeconfig'} has no current context: set one with "kubectl config use-context"`,
    );
  }
  return config;
}

/** Schemes that client-go takes. */
const proxySchemes = ['http:', 'https:', 'socks5:'];

/** @throws Error that names the field of the kubeconfig */
function readProxyUrl({ name, proxyUrl = '' }: Cluster): URL | undefined {
  if (proxyUrl === '') return undefined;
  const url = URL.parse(proxyUrl);
  if (url === null || url.hostname === '' || !proxySchemes.includes(url.protocol))
    throw new Error(
      `proxy-url of the cluster ${name} in the kubeconfig must be an http, https or socks5 URL such as http://proxy.example:3128`,
    );
  return url;
}

/**
 * A client for the current context of the kubeconfig. Tokens and certificates are read anew for each request.
 *
 * @param times shorter in tests
 * @throws Error if the kubeconfig has no current context, or a proxy-url that cannot be used
 */
export function createApiClient(kubeConfig: KubeConfig, times?: Http2Times): ApiClient {
  const cluster = kubeConfig.getCurrentCluster();
  if (cluster === null) throw new Error('the kubeconfig has no current context');
  const server = new URL(cluster.server);
  const proxy = readProxyUrl(cluster);
  const http1 = createHttp1Transport(server, proxy !== undefined);
  const http2 =
    server.protocol === 'https:' && proxy === undefined ? createHttp2Transport(server, times) : undefined;

  async function send(method: Method, path: string, options: Exchange): Promise<Answer> {
    const credentials: Outgoing['credentials'] = {};
    // Refuses plain http unless the kubeconfig says insecure-skip-tls-verify, and refreshes tokens.
    await kubeConfig.applyToHTTPSOptions(credentials);
    const url = new URL(`${server.pathname.replace(/\/$/, '')}${path}`, server);
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const body = options.body === undefined ? undefined : Buffer.from(JSON.stringify(options.body));
    const { auth } = credentials;
    const own: OutgoingHttpHeaders = {};
    for (const [name, value] of Object.entries(credentials.headers ?? {})) own[name] = value;
    const outgoing: Outgoing = {
      method,
      path: `${url.pathname}${url.search}`,
      body,
      signal: options.signal,
      idleMs: options.idleMs,
      credentials,
      headers: {
        ...(auth ? { authorization: `Basic ${Buffer.from(auth).toString('base64')}` } : {}),
        ...own,
        accept: options.accept ?? 'application/json',
        'user-agent': 'postern',
        ...(body === undefined
          ? {}
          : { 'content-type': options.contentType ?? 'application/json', 'content-length': body.length }),
      },
    };
    if (proxy !== undefined) return http1.send(outgoing).catch((error) => throughProxy(proxy, error));
    return (await http2?.send(outgoing)) ?? http1.send(outgoing);
  }

  return {
    async request(method, path, options = {}) {
      const deadline = AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
      const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
      const what = `${method} ${path}`;
      try {
        const response = await send(method, path, { ...options, signal });
        return await readAnswer(response, what);
      } catch (error) {
        throw asApiError(error, what, deadline.aborted && options.signal?.aborted !== true);
      }
    },
    async *watch(path, options) {
      const what = `watch ${path}`;
      try {
        const query = { ...options.query, watch: true };
        const response = await send('GET', path, { ...options, query });
        if (response.code !== 200) await readAnswer(response, what);
        yield* parseLines(response);
      } catch (error) {
        throw asApiError(error, what, false);
      }
    },
    close() {
      http2?.close();
      http1.close();
    },
  };
}

/** Says that the way led through the proxy, which may be what stands in it. @throws */
function throughProxy({ host }: URL, error: unknown): never {
  if (!(error instanceof Error) || error.name === 'AbortError') throw error;
  throw new Error(`through the proxy ${host} (proxy-url of the kubeconfig): ${error.message}`, {
    cause: error,
  });
}

interface Exchange extends Omit<RequestOptions, 'timeoutMs' | 'signal'> {
  readonly signal: AbortSignal;
  readonly idleMs?: number;
}

async function readAnswer(response: Answer, what: string): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    if (!Buffer.isBuffer(chunk)) continue;
    size += chunk.length;
    if (size > LONGEST_ANSWER_BYTES)
      throw new ApiError(0, 'TooLarge', `${what}: the answer is over ${size} bytes long`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString();
  const { code } = response;
  const body = parseJson(text);
  if (code >= 200 && code < 300) {
    if (body === undefined && text !== '')
      throw new ApiError(0, 'Unreadable', `${what}: the answer is not JSON`);
    return body;
  }
  throw errorFromStatus(body, code, what, response.headers['retry-after']);
}

async function* parseLines(response: Answer): AsyncGenerator<unknown, void, void> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of response.body) {
    if (!Buffer.isBuffer(chunk)) continue;
    // Only the new text can hold the next line end: an event of 1 MB comes in many chunks.
    const text = decoder.write(chunk);
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      const event = parseJson(rest + text.slice(start, end));
      if (event === undefined) throw new ApiError(0, 'Unreadable', 'an event is not JSON');
      rest = '';
      start = end + 1;
      yield event;
    }
    rest += text.slice(start);
    if (rest.length > LONGEST_EVENT_CHARACTERS) throw new ApiError(0, 'TooLarge', 'an event is too long');
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function asApiError(error: unknown, what: string, timedOut: boolean): ApiError {
  if (error instanceof ApiError)
    return error.message.startsWith(what)
      ? error
      : new ApiError(error.code, error.reason, `${what}: ${error.message}`, error.causes, error.retryAfterMs);
  const message = error instanceof Error ? error.message : String(error);
  if (timedOut) return new ApiError(0, 'Timeout', `${what}: no answer in time`);
  if (error instanceof Error && error.name === 'AbortError')
    return new ApiError(0, 'Aborted', `${what}: aborted`);
  return new ApiError(0, 'Unreachable', `${what}: ${message}`);
}
