import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { mtaStateOf } from '../../../bundle/fixture.ts';
import { PodPoller } from './pod-poller.ts';

let server: Server | undefined;
const stopped = new AbortController();
afterEach(() => {
  stopped.abort();
  server?.closeAllConnections();
  server?.close();
});

async function serve(listener: RequestListener): Promise<string> {
  const listening = createServer(listener).listen(0, '127.0.0.1');
  server = listening;
  await once(listening, 'listening');
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `127.0.0.1:${address.port}`;
}

/** Asks the server at an address for the one pod. */
function pollerOf(
  address: string,
  signal: AbortSignal,
  rest: { changed: () => void; slowMs?: number },
): PodPoller {
  const own = { pod: 'local', mta: 'default', token: 'secret', now: () => 0 };
  return new PodPoller({ ...own, address: () => address, signal, ...rest });
}

test('a stranger on the port gets no second request, and a redirect leads the token nowhere', async () => {
  const paths: string[] = [];
  const address = await serve((request, response) => {
    paths.push(request.url ?? '');
    response.writeHead(302, { location: '/elsewhere' }).end();
  });
  const asked = Promise.withResolvers<void>();
  const poller = pollerOf(address, stopped.signal, {
    changed: () => asked.resolve(),
  });
  const running = poller.run();
  await asked.promise;
  expect(poller.observation()).toMatchObject({
    ready: false,
    state: { ok: false, problem: expect.stringContaining(`GET http://${address}/state failed`) },
  });
  stopped.abort();
  await running;
  expect(new Set(paths)).toEqual(new Set(['/state']));
});

test('a question that hangs does not hold up the end', async () => {
  const asked = Promise.withResolvers<void>();
  const address = await serve(() => asked.resolve());
  const end = new AbortController();
  const poller = pollerOf(address, end.signal, {
    changed: () => undefined,
  });
  const running = poller.run();
  await asked.promise;
  end.abort();
  await running;
  expect(poller.observation().state).toEqual({
    ok: false,
    problem: 'the MTA process has not been asked yet',
  });
});

test('what changes with every mail is nothing that a status says', async () => {
  let asked = 0;
  const enough = Promise.withResolvers<void>();
  const address = await serve((_, response) => {
    asked += 1;
    if (asked === 20) enough.resolve();
    const state = mtaStateOf({
      queue: { size: asked, deferred: 0 },
      legs: {
        accepted: asked,
        reports: 0,
        found: 0,
        adopted: 0,
        delivered: 0,
        bounced: 0,
        ledger: asked,
        handedOver: 0,
      },
      ledger: { suppressedNdrs: asked, backscatterAvoided: 0, doubleBounces: 0, expired: 0 },
      tlsFailures: [
        {
          domain: 'a.example',
          partner: 'b.example',
          via: 'Mx',
          host: 'mx.b.example',
          result: 'certificate-expired',
          detail: '',
          failures: asked,
          lastFailure: asked,
        },
      ],
    });
    response.end(JSON.stringify(state));
  });
  let changes = 0;
  const end = new AbortController();
  const poller = pollerOf(address, end.signal, {
    changed: () => {
      changes += 1;
    },
    slowMs: 1,
  });
  poller.expect('h');
  const running = poller.run();
  await enough.promise;
  end.abort();
  await running;
  // The first answer is news.
  expect(changes).toBe(1);
});
