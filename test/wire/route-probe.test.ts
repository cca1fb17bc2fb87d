import { expect, test } from 'vitest';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import type { RouteProbe } from '../../bundle/state.ts';
import { bundleOf, domainPolicy } from '../../policy/fixture.ts';
import { makeCertificate } from './certificate.ts';
import { eventually } from './eventually.ts';
import { keepUntilTestEnds } from './kept.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { noSecrets } from './policy-files.ts';
import { route } from './route.ts';
import { startSink } from './sink.ts';

const keep = keepUntilTestEnds();

const bundleWith = (routes: RoutePolicy[]) => ({ ...bundleOf([domainPolicy('example.com')]), routes });

/** The probes, once there is one for each of so many Routes. */
async function probes(mta: MtaProcess, count: number): Promise<Record<string, RouteProbe>> {
  let found: Record<string, RouteProbe> = {};
  await eventually(async () => {
    found = (await mta.state()).routeProbes;
    return Object.keys(found).length === count;
  }, `${count} Routes are probed`);
  return found;
}

test('R1: /state tells of each Route how far a session comes, as mail would go', async () => {
  const certificate = await makeCertificate('sink.example');
  const plain = keep(await startSink());
  const lmtp = keep(await startSink({ lmtp: true }));
  const tls = keep(
    await startSink({
      server: {
        ...certificate,
        disabledCommands: [],
        onAuth: ({ password }, _session, done) => {
          if (password === 's3cret') done(null, { user: 'postern' });
          else done(Object.assign(new Error('5.7.8 no'), { responseCode: 535 }));
        },
      },
    }),
  );
  const implicit = keep(await startSink({ server: { ...certificate, secure: true } }));
  const refusing = keep(
    await startSink({
      server: { onConnect: (_session, done) => done(Object.assign(new Error('no'), { responseCode: 554 })) },
    }),
  );
  const verified: RoutePolicy['tls'] = {
    mode: 'Required',
    verify: 'TrustedCAAndHostname',
    caBundle: certificate.cert,
    serverName: 'sink.example',
  };
  const mta = keep(
    await startMta({
      bundle: bundleWith([
        route('plain', plain.port),
        route('lmtp', lmtp.port, { protocol: 'LMTP' }),
        route('not-lmtp', plain.port, { protocol: 'LMTP' }),
        route('verified', tls.port, { tls: verified, authenticated: true }),
        route('wrong-name', tls.port, { tls: { ...verified, serverName: 'wrong.example' } }),
        route('wrong-password', tls.port, { tls: verified, authenticated: true }),
        route('no-tls', plain.port, { tls: { mode: 'Required', verify: 'None' } }),
        route('implicit', implicit.port, { tls: { ...verified, mode: 'Implicit' } }),
        route('refusing', refusing.port),
        route('nobody', 1),
        route('nowhere', 25, { host: 'does-not-exist.invalid' }),
      ]),
      secrets: {
        ...noSecrets,
        routeAuth: {
          verified: { username: 'postern', password: 's3cret' },
          'wrong-password': { username: 'postern', password: 'old' },
        },
      },
    }),
  );
  const found = await probes(mta, 11);
  expect(Object.fromEntries(Object.entries(found).map(([name, { reason }]) => [name, reason]))).toEqual({
    plain: 'Connected',
    lmtp: 'Connected',
    'not-lmtp': 'ConnectRejected',
    verified: 'Connected',
    'wrong-name': 'TlsFailed',
    'wrong-password': 'AuthRejected',
    'no-tls': 'TlsFailed',
    implicit: 'Connected',
    refusing: 'ConnectRejected',
    nobody: 'ConnectFailed',
    nowhere: 'NameNotFound',
  });
  expect(Object.entries(found).filter(([, { reachable }]) => reachable)).toHaveLength(4);
  for (const name of ['verified', 'implicit'])
    expect(found[name]?.certificateExpires).toBeGreaterThan(Date.now() / 1000);
  expect(found['nobody']?.detail).toBe('127.0.0.1:1: no connection: ECONNREFUSED');
  expect(found['refusing']?.detail).toMatch(/^127\.0\.0\.1:\d+ answers the connection with 554/);
  expect(await (await mta.get('/metrics')).text()).toMatch(
    /^postern_mta_route_reachable\{route="nobody"\} 0$/m,
  );
  expect(mta.lines.join('\n')).not.toMatch(/s3cret|cG9zdGVybgBz/);
}, 60_000);

test('R1: a changed Route is probed at once, and one that is gone is forgotten; mail does not wait for either', async () => {
  const sink = keep(await startSink());
  const mta = keep(await startMta({ bundle: bundleWith([route('store', 1), route('other', 1)]) }));
  await probes(mta, 2);
  await mta.loadPolicy(bundleWith([route('store', sink.port)]));
  expect((await probes(mta, 1))['store']).toMatchObject({ reachable: true, reason: 'Connected' });
  // 192.0.2.0/24 leads nowhere: this probe has no answer yet.
  await mta.loadPolicy(bundleWith([route('store', 25, { host: '192.0.2.1' })]));
  const session = await mta.session();
  expect((await session.mail({ to: ['user@example.com'] })).at(-1)).toMatch(/^250 /);
});
