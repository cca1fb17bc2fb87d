import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { DomainPolicy } from '../../bundle/domain-policy.ts';
import type { SecretBundle } from '../../bundle/policy-bundle.ts';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import { bundleOf, domainPolicy, recipients, rule } from '../../policy/fixture.ts';
import { makeCertificate } from './certificate.ts';
import { eventually } from './eventually.ts';
import { keepUntilTestEnds } from './kept.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { noSecrets } from './policy-files.ts';
import { route } from './route.ts';
import { type Sink, startSink } from './sink.ts';

const keep = keepUntilTestEnds();

/** A domain whose recipients the Route of its mailbox knows. */
function probed(domain: string, routeName: string, over: Partial<DomainPolicy> = {}): DomainPolicy {
  return domainPolicy(domain, {
    mailbox: { kind: 'Route', route: routeName },
    recipients: recipients([], { mode: 'Probe', probeRoute: routeName }),
    ...over,
  });
}

function bundleWith(domains: DomainPolicy[], routes: RoutePolicy[]) {
  return { ...bundleOf(domains), routes };
}

/** Knows nobody but those named, and counts how often it was asked for each. */
async function knowing(
  people: readonly string[],
  options: Parameters<typeof startSink>[0] = {},
): Promise<Sink & { asked: string[] }> {
  const asked: string[] = [];
  const sink = await startSink({
    ...options,
    behaviour: {
      rcpt: (recipient) => {
        asked.push(recipient);
        return people.includes(recipient) ? undefined : '550 5.1.1 no such user';
      },
    },
  });
  return keep(Object.assign(sink, { asked }));
}

/** The replies to recipients of one transaction. */
async function rcpt(mta: MtaProcess, ...to: string[]): Promise<string[]> {
  const session = await mta.session();
  await session.send('MAIL FROM:<sender@elsewhere.example>');
  const replies: string[] = [];
  for (const recipient of to) replies.push(await session.send(`RCPT TO:<${recipient}>`));
  await session.send('QUIT');
  return replies;
}

const troubled = (mta: MtaProcess, text: RegExp) =>
  eventually(
    () => mta.logged(({ event, problem }) => event === 'lookup' && text.test(String(problem))).length > 0,
    `the log tells of ${text}`,
  );

const unavailable = /^451 4\.3\.0 .*\(ref [0-9A-Z]{8}\)$/;
const unknown = /^550 5\.1\.1 .*\(ref [0-9A-Z]{8}\)$/;

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address: AddressInfo | string | null = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

describe('I9: the recipients of a Route', () => {
  test.each(['SMTP', 'LMTP'] as const)(
    'over %s: known ones are accepted, others refused, and a subaddress is known as its user',
    async (protocol) => {
      const sink = await knowing(['user@example.com'], { lmtp: protocol === 'LMTP' });
      const mta = keep(
        await startMta({
          bundle: bundleWith([probed('example.com', 'store')], [route('store', sink.port, { protocol })]),
        }),
      );
      const replies = await rcpt(mta, 'user@example.com', 'nobody@example.com', 'user+tag@example.com');
      expect(replies).toEqual([
        expect.stringMatching(/^250 2\.1\.5 /),
        expect.stringMatching(unknown),
        expect.stringMatching(/^250 2\.1\.5 /),
      ]);
      expect(sink.asked).toEqual(['user@example.com', 'nobody@example.com', 'user+tag@example.com']);
      // All of them are remembered now.
      await rcpt(mta, 'USER@example.com', 'nobody@example.com');
      expect(sink.asked).toHaveLength(3);
      expect(sink.mails).toEqual([]);
      expect(await (await mta.get('/metrics')).text()).toMatch(
        /^postern_mta_recipient_lookups_total\{route="store",answer="unknown"\} 2$/m,
      );
    },
  );

  test.each([
    ['answers later to RCPT', { rcpt: () => '450 4.2.1 later' }],
    ['refuses the null sender', { mail: () => '550 5.7.1 no bounces' }],
  ])('451, not 550, while the server %s', async (_what, behaviour) => {
    const sink = keep(await startSink({ behaviour }));
    const bundle = bundleWith([probed('example.com', 'store')], [route('store', sink.port)]);
    const mta = keep(await startMta({ bundle }));
    expect(await rcpt(mta, 'user@example.com')).toEqual([expect.stringMatching(unavailable)]);
  });

  test('451, not 550, while the server is down; with the mended Route the next one is accepted', async () => {
    const down = bundleWith([probed('example.com', 'store')], [route('store', await closedPort())]);
    const mta = keep(await startMta({ bundle: down }));
    expect(await rcpt(mta, 'user@example.com')).toEqual([expect.stringMatching(unavailable)]);
    await troubled(mta, /ECONNREFUSED/);
    const sink = await knowing(['user@example.com']);
    await mta.loadPolicy(bundleWith([probed('example.com', 'store')], [route('store', sink.port)]));
    expect(await rcpt(mta, 'user@example.com')).toEqual([expect.stringMatching(/^250 /)]);
  });

  test('451 for a server that says nothing, in time; recipients of other Routes do not wait for it', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const sockets = new Set<{ destroy(): void }>();
    silent.on('connection', (socket) => sockets.add(socket));
    keep({
      [Symbol.asyncDispose]: async () => {
        for (const socket of sockets) socket.destroy();
        silent.close();
      },
    });
    const address: AddressInfo | string | null = silent.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const sink = await knowing(['user@example.org']);
    const mta = keep(
      await startMta({
        bundle: bundleWith(
          [probed('example.com', 'silent'), probed('example.org', 'store')],
          [
            route('silent', address.port, { connection: { maxConcurrent: 1, timeoutSeconds: 3 } }),
            route('store', sink.port),
          ],
        ),
      }),
    );
    const ended: string[] = [];
    const waiting = Array.from({ length: 5 }, (_, i) =>
      rcpt(mta, `user${i}@example.com`).then((replies) => {
        ended.push('silent');
        return replies;
      }),
    );
    await eventually(() => sockets.size > 0, 'the silent server is being asked');
    expect(await rcpt(mta, 'user@example.org')).toEqual([expect.stringMatching(/^250 /)]);
    ended.push('other');
    const replies = (await Promise.all(waiting)).flat();
    expect(ended[0]).toBe('other');
    for (const reply of replies) expect(reply).toMatch(unavailable);
  });

  test('the Route is asked as mail would go: over verified TLS and with its credentials, or not at all', async () => {
    const certificate = await makeCertificate('sink.example');
    const sink = await knowing(['user@example.com'], {
      server: {
        ...certificate,
        disabledCommands: [],
        authOptional: false,
        onAuth: ({ username, password }, _session, done) => {
          if (username === 'postern' && password === 's3cret') done(null, { user: username });
          else done(Object.assign(new Error('no'), { responseCode: 535 }));
        },
      },
    });
    const tls = {
      mode: 'Required',
      verify: 'TrustedCAAndHostname',
      caBundle: certificate.cert,
      serverName: 'sink.example',
    } as const;
    const secrets = (password: string): SecretBundle => ({
      ...noSecrets,
      routeAuth: { store: { username: 'postern', password } },
    });
    const bundle = (over: Partial<RoutePolicy['tls']>) =>
      bundleWith(
        [probed('example.com', 'store')],
        [route('store', sink.port, { tls: { ...tls, ...over }, authenticated: true })],
      );
    const mta = keep(
      await startMta({ bundle: bundle({ serverName: 'wrong.example' }), secrets: secrets('s3cret') }),
    );
    const problem = async (to: string, text: RegExp) => {
      expect(await rcpt(mta, to)).toEqual([expect.stringMatching(unavailable)]);
      await troubled(mta, text);
    };
    await problem('user@example.com', /TLS verification/);
    await mta.loadPolicy(bundle({}), secrets('old'));
    await problem('user@example.com', /AUTH with 535/);
    await mta.loadPolicy(bundle({}), secrets('s3cret'));
    expect(await rcpt(mta, 'user@example.com', 'nobody@example.com')).toEqual([
      expect.stringMatching(/^250 /),
      expect.stringMatching(unknown),
    ]);
    expect(sink.clear).toEqual([]);
    expect(mta.lines.join('\n')).not.toMatch(/s3cret|cG9zdGVybgBz/);
  });

  test('a Route that leads back to this MTA ends in 451', async () => {
    const mta = keep(
      await startMta({ bundle: bundleWith([probed('example.com', 'self')], [route('self', 1)]) }),
    );
    const self = route('self', mta.address('smtp').port, {
      connection: { maxConcurrent: 2, timeoutSeconds: 1 },
    });
    await mta.loadPolicy(bundleWith([probed('example.com', 'self')], [self]));
    expect(await rcpt(mta, 'user@example.com')).toEqual([expect.stringMatching(unavailable)]);
  });
});

describe('I13: a routed recipient', () => {
  const routed = (over: Parameters<typeof rule>[0]) => [
    domainPolicy('example.com', { inboundRouting: [rule({ route: 'archive', ...over })] }),
  ];

  test('is asked for first: refused 550 5.1.1, down 451 4.3.0', async () => {
    const sink = await knowing(['user@example.com']);
    const domains = routed({ verifyRecipient: 'Probe' });
    const mta = keep(await startMta({ bundle: bundleWith(domains, [route('archive', sink.port)]) }));
    expect(await rcpt(mta, 'user@example.com', 'sales@example.com')).toEqual([
      expect.stringMatching(/^250 /),
      expect.stringMatching(unknown),
    ]);
    await mta.loadPolicy(bundleWith(domains, [route('archive', await closedPort())]));
    expect(await rcpt(mta, 'user@example.com')).toEqual([expect.stringMatching(unavailable)]);
  });

  test('is accepted without a question with verifyRecipient: None', async () => {
    const domains = routed({ verifyRecipient: 'None' });
    const mta = keep(await startMta({ bundle: bundleWith(domains, [route('archive', await closedPort())]) }));
    expect(await rcpt(mta, 'user@example.com')).toEqual([expect.stringMatching(/^250 /)]);
  });
});
