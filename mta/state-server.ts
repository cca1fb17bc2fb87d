import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ListenAddress } from './options.ts';
import type { Adoption } from './queue/adoption.ts';
import { lastAnswerHeader } from './queue/last-answers.ts';
import type { QueueDesk } from './queue/queue-desk.ts';
import { answerQueue, isQueuePath } from './queue/queue-endpoint.ts';

/** What the endpoints answer. */
export interface StateSource {
  readonly state: () => Promise<unknown>;
  readonly ready: () => Promise<{ ready: boolean; readyReason: string }>;
  readonly blocks: () => unknown;
  readonly hits: () => unknown;
  readonly queue: QueueDesk;
  readonly adoption: Adoption;
  readonly metrics: () => Promise<{ contentType: string; text: string }>;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Endpoints that tell addresses and names of tenants: they ask for the token. */
const guarded = new Set(['/state', '/blocks', '/hits']);

/**
 * Serves /state, /blocks, /hits (bearer token, if there is one), /queue (never without one; PUT is for a pod that ends), /metrics, /healthz and /readyz.
 * @throws Error if the address cannot be listened on.
 */
export async function serveState(
  address: ListenAddress,
  source: StateSource,
  token: string | undefined,
): Promise<Server> {
  const server = createServer(
    { requestTimeout: 5_000, headersTimeout: 5_000, maxHeaderSize: 16_384 },
    (request, response) => {
      answer(request, source, token).then(
        (reply) => send(response, reply),
        () => send(response, { status: 500, type: 'text/plain', body: 'internal error\n' }),
      );
    },
  );
  server.listen(address.port, address.host);
  await once(server, 'listening');
  return server;
}

/** The port that was given. */
export function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new Error('the server does not listen on a port');
  return address.port;
}

async function answer(
  request: IncomingMessage,
  source: StateSource,
  token: string | undefined,
): Promise<Answer> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  if (isQueuePath(path)) {
    // Who gives orders has shown a token, also where the others are open because there is none.
    if (token === undefined || !carries(request, token)) return text(401, 'bearer token required');
    if (request.method === 'PUT') {
      const { status, problem } = await source.adoption.take(
        path.slice('/queue/'.length),
        request,
        request.headersDistinct[lastAnswerHeader]?.[0],
      );
      return status === 200 ? json(200, {}) : text(status, problem);
    }
    const reply = await answerQueue(source.queue, request.method ?? 'GET', request.url ?? path);
    return 'answer' in reply ? json(200, reply.answer) : text(reply.status, reply.problem);
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') return text(405, 'method not allowed');
  if (guarded.has(path) && token !== undefined && !carries(request, token))
    return text(401, 'bearer token required');
  switch (path) {
    case '/state':
      return json(200, await source.state());
    case '/blocks':
      return json(200, source.blocks());
    case '/hits':
      return json(200, source.hits());
    case '/metrics': {
      const { contentType, text: body } = await source.metrics();
      return { status: 200, type: contentType, body };
    }
    case '/healthz':
      return text(200, 'ok');
    case '/readyz': {
      const { ready, readyReason } = await source.ready();
      return text(ready ? 200 : 503, readyReason);
    }
    default:
      return text(404, 'not found');
  }
}

/** Compares digests: equal length, and no early end that a clock could see. */
function carries(request: IncomingMessage, token: string): boolean {
  const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
  const digest = (value: string) => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(given), digest(token));
}

function json(status: number, value: unknown): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(value)}\n` };
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain', body: `${body}\n` };
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    'content-type': type,
    ...(status === 401 && { 'www-authenticate': 'Bearer' }),
  });
  response.end(body);
}
