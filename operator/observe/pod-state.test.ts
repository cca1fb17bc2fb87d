import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { fetchPodState } from './pod-state.ts';

const state = {
  readableVersions: [1],
  mta: 'default',
  bundleHash: null,
  secretsRevision: null,
  coldHash: 'c',
  domains: {},
  routes: {},
  loadError: null,
  loadedAt: null,
  ready: false,
  readyReason: 'NoBundle',
  queue: { size: 0, deferred: 0 },
  ledger: { suppressedNdrs: 0, backscatterAvoided: 0, doubleBounces: 0, expired: 0 },
  routeProbes: {},
};

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function serve(listener: RequestListener): Promise<number> {
  server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

const ask = (port: number) => fetchPodState(`127.0.0.1:${port}`, 'token-1', AbortSignal.timeout(10_000));

test('the state is asked for with the bearer token', async () => {
  const port = await serve((request, response) => {
    const allowed = request.url === '/state' && request.headers.authorization === 'Bearer token-1';
    response.writeHead(allowed ? 200 : 401).end(JSON.stringify(state));
  });
  expect(await ask(port)).toEqual({ ok: true, value: state });
});

test('a refusal, a stranger and a closed port are told apart, with the address', async () => {
  const port = await serve((_, response) => response.writeHead(401).end());
  expect(await ask(port)).toEqual({ ok: false, problem: `GET http://127.0.0.1:${port}/state answered 401` });
  server?.close();
  const other = await serve((_, response) => response.end('{"mta": 5}'));
  expect(await ask(other)).toMatchObject({
    ok: false,
    problem: expect.stringContaining('answered no MTA state: '),
  });
  server?.close();
  expect(await ask(other)).toEqual({
    ok: false,
    problem: `GET http://127.0.0.1:${other}/state failed: ECONNREFUSED`,
  });
});

test('an endless answer and a hung pod are given up', async () => {
  const endless = await serve((_, response) => {
    const chunk = Buffer.alloc(65_536, 32);
    const more = () => {
      if (!response.destroyed) response.write(chunk, more);
    };
    more();
  });
  expect(await ask(endless)).toMatchObject({
    ok: false,
    problem: expect.stringContaining('longer than 1048576 bytes'),
  });
  server?.closeAllConnections();
  const hung = await serve(() => undefined);
  expect(await ask(hung)).toMatchObject({
    ok: false,
    problem: expect.stringContaining('no answer in 2000 ms'),
  });
});

test('a redirect is not followed: it could lead the token elsewhere', async () => {
  const port = await serve((request, response) => {
    if (request.url === '/state') response.writeHead(302, { location: '/elsewhere' }).end();
    else response.end(JSON.stringify(state));
  });
  expect(await ask(port)).toMatchObject({ ok: false });
});
