// Hundreds of requests on one connection: what becomes of them when it is full, is about to close, breaks or falls silent.
import { once } from 'node:events';
import {
  constants,
  createSecureServer,
  type Http2SecureServer,
  type Http2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { KubeConfig } from '@kubernetes/client-node';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type ApiClient,
  createApiClient,
  loadKubeConfig,
} from '../../operator/platform/kubernetes/runtime/client.ts';
import { isRecord } from '../../operator/platform/kubernetes/runtime/resource.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { makeCertificate } from '../wire/certificate.ts';
import { recordFaults } from './record.ts';
import { type Relay, startRelay } from './relay.ts';

const soon = { timeout: 15_000, interval: 20 };
const hour = 3_600_000;

/** A watch, followed until it ends. */
interface Followed {
  /** Names in its events. */
  readonly names: string[];
  /** Its error, or undefined if the server ended it. */
  readonly ended: Promise<unknown>;
  abort(): void;
}

function follow(client: ApiClient, path: string, query: Record<string, string> = {}): Followed {
  const names: string[] = [];
  const aborting = new AbortController();
  const read = async () => {
    for await (const event of client.watch(path, { query, signal: aborting.signal, idleMs: hour })) {
      const object = isRecord(event) ? event['object'] : undefined;
      const metadata = isRecord(object) ? object['metadata'] : undefined;
      names.push(isRecord(metadata) ? String(metadata['name']) : '');
    }
  };
  const ended = read().then(
    () => undefined,
    (error: unknown) => error,
  );
  return { names, ended, abort: () => aborting.abort() };
}

describe('to the API server, through a wire', () => {
  const cluster = useControlPlane();
  let relay: Relay;
  let path: string;
  /** Another way to the server: what other people do. */
  let direct: ApiClient;
  const clients: ApiClient[] = [];

  const clientOf = async (times?: Parameters<typeof createApiClient>[1]) => {
    const server = `https://127.0.0.1:${relay.port}`;
    const client = createApiClient(
      loadKubeConfig(await cluster.current.kubeconfigFor('admin', server)),
      times,
    );
    clients.push(client);
    return client;
  };
  const create = (name: string, data = '') =>
    direct.request('POST', path, { body: { metadata: { name }, data: { data } } });

  beforeEach(async () => {
    path = `/api/v1/namespaces/${await cluster.freshNamespace()}/configmaps`;
    relay = await startRelay(Number(new URL(cluster.current.url).port));
    direct = createApiClient(loadKubeConfig(await cluster.current.kubeconfigFor('admin')));
  });

  afterEach(async () => {
    await relay.stop();
    for (const client of [...clients.splice(0), direct]) client.close();
  });

  test('X2: 600 watches share few connections; when these break each watch is told, and they can be opened again', async () => {
    const client = await clientOf();
    const openAll = () => Array.from({ length: 600 }, () => follow(client, path));
    const watches = openAll();
    await create('a');
    await expect.poll(() => watches.every(({ names }) => names.includes('a')), soon).toBe(true);
    const before = relay.made;
    // As many as the server allows on each: more than one, and not one for each.
    expect(before).toBeGreaterThan(1);
    expect(before).toBeLessThanOrEqual(7);
    relay.cut();
    for (const { ended } of watches) expect(await ended).toMatchObject({ code: 0, reason: 'Unreachable' });
    const again = openAll();
    await expect.poll(() => again.every(({ names }) => names.includes('a')), soon).toBe(true);
    expect(relay.made).toBeLessThanOrEqual(2 * before);
    for (const { abort } of again) abort();
    await Promise.all(again.map(({ ended }) => ended));
    recordFaults(before);
  });

  test('a watch that is ended leaves the others on its connection alone, and its place is free again', async () => {
    const client = await clientOf();
    const [first, ...others] = Array.from({ length: 20 }, () => follow(client, path));
    await create('a');
    await expect.poll(() => others.every(({ names }) => names.includes('a')), soon).toBe(true);
    first?.abort();
    expect(await first?.ended).toMatchObject({ reason: 'Aborted' });
    for (let round = 0; round < 300; round += 1) {
      const brief = follow(client, path);
      await expect.poll(() => brief.names, soon).toContain('a');
      brief.abort();
      await brief.ended;
    }
    await create('b');
    await expect.poll(() => others.every(({ names }) => names.includes('b')), soon).toBe(true);
    expect(relay.made).toBe(1);
    for (const { abort } of others) abort();
    await Promise.all(others.map(({ ended }) => ended));
  });

  test('X2: a connection that has fallen silent is found by a PING, for all watches on it', async () => {
    const client = await clientOf({ pingEveryMs: 200, pingAnswerMs: 300 });
    const watches = Array.from({ length: 20 }, () => follow(client, path));
    await create('a');
    await expect.poll(() => watches.every(({ names }) => names.includes('a')), soon).toBe(true);
    relay.silence();
    for (const { ended } of watches)
      expect(await ended).toMatchObject({
        message: expect.stringContaining('no answer to a PING in 300 ms'),
      });
    await client.request('GET', path);
    expect(relay.made).toBe(2);
    recordFaults(1);
  });

  test('X3: after a request without an answer the next one does not wait on the same connection', async () => {
    const client = await clientOf({ pingEveryMs: hour, pingAnswerMs: hour });
    await client.request('GET', path);
    relay.silence();
    await expect(client.request('GET', path, { timeoutMs: 300 })).rejects.toMatchObject({
      reason: 'Timeout',
    });
    await client.request('GET', path, { timeoutMs: 10_000 });
    expect(relay.made).toBe(2);
    recordFaults(1);
  });

  test('X3: a connection that never comes to be is given up, and the next one is made', async () => {
    const client = await clientOf({ connectMs: 500 });
    // Nobody takes what is sent.
    const made = relay.made;
    const hold = setInterval(() => relay.silence(), 0);
    await expect(client.request('GET', path)).rejects.toMatchObject({
      code: 0,
      message: expect.stringContaining('in time'),
    });
    clearInterval(hold);
    await client.request('GET', path);
    expect(relay.made).toBe(made + 2);
    recordFaults(1);
  });

  test('a list that is longer than all windows comes whole, while watches go on', async () => {
    const client = await clientOf();
    const watch = follow(client, path);
    const text = 'x'.repeat(900_000);
    for (let number = 0; number < 24; number += 1) await create(`long-${number}`, text);
    const list = await client.request('GET', path);
    const items = isRecord(list) && Array.isArray(list['items']) ? list['items'] : [];
    expect(items.map((item) => item.data.data.length)).toEqual(Array.from({ length: 24 }, () => text.length));
    await expect.poll(() => watch.names.length, soon).toBe(24);
    watch.abort();
    await watch.ended;
  });
});

describe('to a server that does what it may', () => {
  let server: Http2SecureServer;
  let sessions: Http2Session[];
  /** `<number of the session, from 1> <method> <path>` of each request. */
  let requests: string[];
  let answer: (stream: ServerHttp2Stream, session: Http2Session, path: string) => void;
  let config: KubeConfig;
  let client: ApiClient;

  const ok = (stream: ServerHttp2Stream, body = '{}') => {
    stream.respond({ ':status': 200 });
    stream.end(body);
  };

  const start = async (certificate: { cert: string; key: string }, maxConcurrentStreams: number) => {
    server = createSecureServer({ ...certificate, settings: { maxConcurrentStreams } });
    server.on('session', (session) => sessions.push(session));
    server.on('stream', (stream, { ':method': method = '', ':path': path = '' }) => {
      const session = stream.session;
      if (session === undefined) return;
      requests.push(`${sessions.indexOf(session) + 1} ${method} ${path}`);
      stream.on('error', () => undefined);
      answer(stream, session, path);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  };

  beforeEach(async () => {
    sessions = [];
    requests = [];
    answer = (stream) => ok(stream);
    const certificate = await makeCertificate('api.example');
    await start(certificate, 2);
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    config = new KubeConfig();
    config.loadFromClusterAndUser(
      {
        name: 'test',
        server: `https://127.0.0.1:${port}`,
        caData: Buffer.from(certificate.cert).toString('base64'),
        skipTLSVerify: false,
        tlsServerName: 'api.example',
      },
      { name: 'test', token: 'one' },
    );
    client = createApiClient(config);
  });

  afterEach(async () => {
    client.close();
    const closed = once(server, 'close');
    server.close();
    for (const session of sessions) session.destroy();
    await closed;
  });

  test('no request is sent that the server would have to keep waiting, however many come at once', async () => {
    const held: ServerHttp2Stream[] = [];
    answer = (stream) => held.push(stream);
    const all = Array.from({ length: 7 }, (_, number) => client.request('GET', `/${number}`));
    await expect.poll(() => held.length, soon).toBe(7);
    expect(sessions.length).toBe(4);
    for (const stream of held) ok(stream);
    await Promise.all(all);
  });

  test('a server that is going (GOAWAY) is left by new requests; a watch on it goes on', async () => {
    let tell: ServerHttp2Stream | undefined;
    answer = (stream, _session, path) => {
      if (!path.startsWith('/watched')) return ok(stream);
      stream.respond({ ':status': 200 });
      stream.write('{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n');
      tell = stream;
    };
    const watch = follow(client, '/watched');
    await expect.poll(() => watch.names, soon).toEqual(['a']);
    sessions[0]?.goaway();
    await expect
      .poll(async () => {
        await client.request('GET', '/after');
        return sessions.length;
      }, soon)
      .toBe(2);
    tell?.end('{"type":"ADDED","object":{"metadata":{"name":"b"}}}\n');
    expect(await watch.ended).toBeUndefined();
    expect(watch.names).toEqual(['a', 'b']);
  });

  test('what the server says that it has not looked at is sent again, a write as well', async () => {
    answer = (stream) => {
      if (requests.length === 1) stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else ok(stream);
    };
    await client.request('POST', '/write', { body: {} });
    expect(requests.map((request) => request.slice(2))).toEqual(['POST /write', 'POST /write']);
  });

  test('a server that looks at nothing is asked three times', async () => {
    answer = (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM);
    await expect(client.request('GET', '/')).rejects.toMatchObject({ code: 0, reason: 'Unreachable' });
    expect(requests.length).toBe(3);
  });

  test('a write is not sent again when its connection breaks: it may have been done', async () => {
    await client.request('GET', '/first');
    answer = (_stream, session) => session.destroy();
    await expect(client.request('POST', '/write', { body: {} })).rejects.toMatchObject({
      code: 0,
      reason: 'Unreachable',
    });
    expect(requests).toEqual(['1 GET /first', '1 POST /write']);
  });

  test('a read on a connection that breaks is sent again on a new one, and fails if that breaks as well', async () => {
    await client.request('GET', '/first');
    answer = (_stream, session) => session.destroy();
    await expect(client.request('GET', '/read')).rejects.toMatchObject({ reason: 'Unreachable' });
    expect(requests).toEqual(['1 GET /first', '1 GET /read', '2 GET /read']);
  });

  test.each([
    ['with its stream', (stream: ServerHttp2Stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR)],
    ['with its connection', (stream: ServerHttp2Stream) => stream.session?.destroy()],
  ])('an answer that is cut off %s is no answer', async (_how, cut) => {
    answer = (stream) => {
      stream.respond({ ':status': 200, 'content-length': '3' });
      // A whole JSON text, but the server has more to say.
      stream.write('{}', () => setImmediate(() => cut(stream)));
    };
    await expect(client.request('POST', '/half')).rejects.toMatchObject({ code: 0, reason: 'Unreachable' });
  });

  test('a new token is used at once, new certificates on a new connection', async () => {
    const seen: string[] = [];
    server.prependListener('stream', (_stream, { authorization = '' }) => seen.push(authorization));
    await client.request('GET', '/');
    const user = config.getCurrentUser();
    if (user === null) throw new Error('no user');
    config.loadFromClusterAndUser(config.clusters[0] ?? { name: '', server: '', skipTLSVerify: false }, {
      ...user,
      token: 'two',
    });
    await client.request('GET', '/');
    expect(seen).toEqual(['Bearer one', 'Bearer two']);
    expect(sessions.length).toBe(1);
    const { cert, key } = await makeCertificate('client.example');
    config.loadFromClusterAndUser(config.clusters[0] ?? { name: '', server: '', skipTLSVerify: false }, {
      ...user,
      certData: Buffer.from(cert).toString('base64'),
      keyData: Buffer.from(key).toString('base64'),
    });
    await client.request('GET', '/');
    expect(requests.at(-1)).toBe('2 GET /');
    await expect.poll(() => sessions[0]?.destroyed, soon).toBe(true);
  });

  test('a server that allows no streams is no server, and is not asked for ever more connections', async () => {
    server.updateSettings({ maxConcurrentStreams: 0 });
    await expect(client.request('GET', '/')).rejects.toMatchObject({
      code: 0,
      message: expect.stringContaining('takes no requests'),
    });
    expect(sessions.length).toBe(1);
  });

  test('a server that sends everybody away at once is not asked again and again by one request', async () => {
    server.prependListener('session', (session) => session.goaway());
    const watch = follow(client, '/watched');
    expect(await watch.ended).toMatchObject({ code: 0, reason: 'Unreachable' });
    expect(sessions.length).toBeLessThanOrEqual(3);
  });

  test('a certificate of somebody else is refused', async () => {
    const other = await makeCertificate('api.example');
    const [cluster] = config.clusters;
    if (cluster === undefined) throw new Error('no cluster');
    const caData = Buffer.from(other.cert).toString('base64');
    const wary = new KubeConfig();
    wary.loadFromClusterAndUser({ ...cluster, caData }, { name: 'test' });
    const misled = createApiClient(wary);
    await expect(misled.request('GET', '/')).rejects.toMatchObject({ code: 0, reason: 'Unreachable' });
    expect(requests).toEqual([]);
    misled.close();
  });
});
