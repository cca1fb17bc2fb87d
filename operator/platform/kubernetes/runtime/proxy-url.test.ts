// A kubeconfig with `proxy-url`: requests and watches go through the proxy, and nothing goes past it.
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeCertificate } from '../../../../test/wire/certificate.ts';
import { type ApiClient, createApiClient, loadKubeConfig } from './client.ts';

const token = 'open sesame';

let folder: string;
let certificate: { cert: string; key: string };
let api: Http2SecureServer;
/** `<path> <Authorization>` of each request. */
let requests: string[];
let sockets: Set<Socket>;
let servers: (Server | HttpServer)[];
/** Where proxies were asked to lead, and with which words they were asked. */
let asked: string[];
let clients: ApiClient[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-proxy-url-'));
  [requests, asked, servers, clients, sockets] = [[], [], [], [], new Set()];
  certificate = await makeCertificate('api.example');
  api = createSecureServer({ ...certificate, allowHTTP1: true }, ({ url, headers }, response) => {
    requests.push(`${url} ${headers.authorization}`);
    response.end('{"type":"ADDED","object":{}}\n');
  });
  api.on('secureConnection', (socket: Socket) => sockets.add(socket));
  await listen(api);
});
afterEach(async () => {
  for (const client of clients) client.close();
  for (const socket of sockets) socket.destroy();
  for (const server of [api, ...servers]) server.close();
  await rm(folder, { recursive: true, force: true });
});

async function listen(server: Server | HttpServer | Http2SecureServer): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return portOf(server);
}

function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Joins both ends, until one of them closes. */
function lead(client: Socket, port: number): void {
  const upstream = connect(port, '127.0.0.1');
  for (const socket of [client, upstream]) sockets.add(socket);
  pipeline(client, upstream, client, () => undefined);
}

/** A proxy as most are: CONNECT. @param refusal what it answers instead of leading anywhere */
async function startHttpProxy(refusal?: string): Promise<number> {
  const server = createHttpServer();
  servers.push(server);
  server.on('connect', ({ url, headers }, socket: Socket) => {
    asked.push(`${url} ${headers['proxy-authorization'] ?? ''}`.trim());
    socket.write(`HTTP/1.1 ${refusal ?? '200 OK'}\r\n\r\n`);
    if (refusal === undefined) lead(socket, Number(url?.split(':').at(-1)));
    else socket.end();
  });
  return listen(server);
}

/** RFC 1928, without authentication and with addresses of IPv4 only. */
async function startSocksProxy(): Promise<number> {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('data', () => {
      socket.write(Buffer.from([5, 0]));
      socket.once('data', (request: Buffer) => {
        const port = request.readUInt16BE(8);
        asked.push(`${request.subarray(4, 8).join('.')}:${port}`);
        socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
        lead(socket, port);
      });
    });
  });
  servers.push(server);
  return listen(server);
}

async function clientThrough(proxyUrl: string): Promise<ApiClient> {
  const cluster = {
    server: `https://127.0.0.1:${portOf(api)}`,
    'certificate-authority-data': Buffer.from(certificate.cert).toString('base64'),
    'tls-server-name': 'api.example',
    'proxy-url': proxyUrl,
  };
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'inner', cluster }],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'inner', user: 'test' } }],
  };
  const file = join(folder, 'kubeconfig');
  await writeFile(file, JSON.stringify(kubeconfig));
  const client = createApiClient(loadKubeConfig(file));
  clients.push(client);
  return client;
}

const proxies = [
  ['http', '', startHttpProxy],
  ['http', 'user:secret@', startHttpProxy],
  ['socks5', '', startSocksProxy],
] as const;

test.each(proxies)('requests and watches go through proxy-url %s://%s', async (scheme, user, start) => {
  const client = await clientThrough(`${scheme}://${user}127.0.0.1:${await start()}`);
  expect(await client.request('GET', '/one')).toEqual({ type: 'ADDED', object: {} });
  const events = [];
  const signal = AbortSignal.timeout(10_000);
  for await (const event of client.watch('/two', { query: {}, signal, idleMs: 10_000 })) events.push(event);
  expect(events).toEqual([{ type: 'ADDED', object: {} }]);
  expect(requests).toEqual([`/one Bearer ${token}`, `/two?watch=true Bearer ${token}`]);
  const words = user === '' ? '' : ` Basic ${Buffer.from('user:secret').toString('base64')}`;
  expect(asked).toEqual(Array(2).fill(`127.0.0.1:${portOf(api)}${words}`));
});

test('behind a proxy the server must still be who the kubeconfig says', async () => {
  certificate = await makeCertificate('api.example');
  const client = await clientThrough(`http://127.0.0.1:${await startHttpProxy()}`);
  await expect(client.request('GET', '/')).rejects.toMatchObject({ code: 0, reason: 'Unreachable' });
  expect([asked.length, requests]).toEqual([1, []]);
});

test('a proxy that leads nowhere, or is not there, is named; no other way is tried', async () => {
  const refusing = await startHttpProxy('403 Forbidden');
  const gone = createServer();
  const closed = await listen(gone);
  gone.close();
  for (const port of [refusing, closed]) {
    const client = await clientThrough(`http://user:secret@127.0.0.1:${port}`);
    const error: unknown = await client.request('GET', '/').catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: 0, reason: 'Unreachable' });
    expect(String(error)).toContain(`through the proxy 127.0.0.1:${port} (proxy-url of the kubeconfig)`);
    expect(String(error)).not.toContain('secret');
  }
  expect(requests).toEqual([]);
});

test.each(['proxy.example:3128', 'ftp://proxy.example', 'not a url', 'http://'])(
  'proxy-url %s is refused before anything is asked',
  async (proxyUrl) => {
    await expect(clientThrough(proxyUrl)).rejects.toThrow(
      /^proxy-url of the cluster inner in the kubeconfig must be an http, https or socks5 URL/,
    );
  },
);

test('an empty proxy-url is none', async () => {
  const client = await clientThrough('');
  await client.request('GET', '/one');
  expect([asked, requests]).toEqual([[], [`/one Bearer ${token}`]]);
});
