import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { askContentFilter } from './content-filter.ts';

const envelope = { id: 'id', from: 'a@b.example', helo: 'h', recipients: ['x@example.com', 'y@example.com'] };

/** Asks a server that is no rspamd: it answers as the test says. */
async function ask(
  handle: (request: IncomingMessage, response: ServerResponse, body: string) => void,
  over: Partial<typeof envelope> = {},
) {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => handle(request, response, Buffer.concat(chunks).toString('latin1')));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const url = `http://127.0.0.1:${address.port}`;
  try {
    const content = Buffer.from('Subject: \xe4\r\n\r\n.x\r\n', 'latin1');
    const lookup = { kind: 'contentFilter', url, client: '192.0.2.1' } as const;
    return await askContentFilter(content, lookup, { ...envelope, ...over });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('G17: the message is posted as it is, with what rspamd wants to know beside it', async () => {
  let seen: unknown;
  const answer = await ask((request, response, body) => {
    const { ip, from, helo, rcpt } = request.headers;
    seen = { url: request.url, method: request.method, ip, from, helo, rcpt, body };
    response.end('{"action":"add header","score":7.5,"symbols":{"A":{"score":1},"B":{}},"unknown":1}');
  });
  expect(answer).toEqual({ kind: 'answer', action: 'add header', score: 7.5, symbols: ['A', 'B'] });
  expect(seen).toEqual({
    url: '/checkv2',
    method: 'POST',
    ip: '192.0.2.1',
    from: 'a@b.example',
    helo: 'h',
    rcpt: 'x@example.com, y@example.com',
    body: 'Subject: \xe4\r\n\r\n.x\r\n',
  });
});

test('what a client calls itself cannot begin a header of its own', async () => {
  let helo: unknown;
  await ask(
    (request, response) => {
      helo = request.headers['helo'];
      response.end('{"action":"no action"}');
    },
    { helo: 'x\r\nUser: admin\u00e4' },
  );
  expect(helo).toBe('x??User: admin?');
});

test.each<[what: string, handle: (request: IncomingMessage, response: ServerResponse) => void]>([
  ['an error', (_, response) => response.writeHead(500).end('{"action":"no action"}')],
  ['a redirection', (_, response) => response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end()],
  ['no JSON', (_, response) => response.end('pong')],
  ['JSON without an action', (_, response) => response.end('{"error":"x"}')],
  ['too long an answer', (_, response) => response.end(`{"action":"reject","x":"${'x'.repeat(1_100_000)}"}`)],
  [
    'an end in the middle',
    (_, response) => response.writeHead(200, { 'content-length': 99 }).write('{"act') && response.destroy(),
  ],
])('%s is no answer', async (_, handle) => {
  expect(await ask(handle)).toMatchObject({ kind: 'unavailable' });
});

test('nobody there is no answer', async () => {
  const lookup = { kind: 'contentFilter', url: 'http://127.0.0.1:9' } as const;
  expect(await askContentFilter(Buffer.from('x'), lookup, envelope)).toMatchObject({ kind: 'unavailable' });
});
