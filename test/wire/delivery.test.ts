import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { DomainPolicy } from '../../bundle/domain-policy.ts';
import type { SecretBundle } from '../../bundle/policy-bundle.ts';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import { portOf } from '../../mta/state-server.ts';
import { bundleOf, domainPolicy, rule } from '../../policy/fixture.ts';
import { makeCertificate } from './certificate.ts';
import { eventually } from './eventually.ts';
import { keepUntilTestEnds } from './kept.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { noSecrets } from './policy-files.ts';
import { route } from './route.ts';
import { type Sink, startSink } from './sink.ts';
import { message } from './smtp-client.ts';

const keep = keepUntilTestEnds();

const certificate = await makeCertificate('sink.example');
const other = await makeCertificate('other.example');

/** A bundle whose only domain delivers to the Route `store`. */
function toRoute(routes: RoutePolicy[], over: Partial<DomainPolicy> = {}) {
  return {
    ...bundleOf([domainPolicy('example.com', { mailbox: { kind: 'Route', route: 'store' }, ...over })]),
    routes,
  };
}

async function startWith(
  routes: RoutePolicy[],
  secrets: SecretBundle = noSecrets,
  over: Partial<DomainPolicy> = {},
): Promise<MtaProcess> {
  return keep(await startMta({ bundle: toRoute(routes, over), secrets }));
}

async function send(
  mta: MtaProcess,
  to: readonly string[],
  subject = 'hello',
  from?: string,
): Promise<string[]> {
  const session = await mta.session();
  return session.mail({ to, data: message({ subject }), ...(from !== undefined && { from }) });
}

const emptied = (mta: MtaProcess) =>
  eventually(async () => (await mta.queued()).length === 0, 'the queue is empty');
const deferred = (mta: MtaProcess, text: RegExp) =>
  eventually(
    () => mta.logged(({ event, reason }) => event === 'deferred' && text.test(String(reason))).length > 0,
    `deferred with ${text}`,
  );

describe('LMTP', () => {
  test('I6: one leg for each recipient, and each gets the answer that is its own', async () => {
    const sink = keep(await startSink({ lmtp: true, behaviour: { data: (to) => answers[to] } }));
    const answers: Record<string, string | undefined> = {
      'sales@example.com': '451 4.2.0 later',
      'user@example.com': '550 5.2.0 no',
    };
    const mta = await startWith([route('store', sink.port, { protocol: 'LMTP' })]);
    const replies = await send(mta, ['info@example.com', 'sales@example.com', 'user@example.com']);
    expect(replies.at(-1)).toMatch(/^250 /);
    await eventually(async () => (await mta.queued()).length === 1, 'only the deferred leg is queued');
    expect(sink.mails.map(({ to }) => to)).toEqual([['info@example.com']]);
    const failed = () => mta.logged(({ event }) => event === 'failed');
    await eventually(() => failed().length > 0, 'the failure is logged');
    expect(failed()).toEqual([
      expect.objectContaining({ to: 'user@example.com', ledger: 'backscatterAvoided' }),
    ]);
    answers['sales@example.com'] = undefined;
    await emptied(mta);
    expect(sink.mails.map(({ to }) => to)).toEqual([['info@example.com'], ['sales@example.com']]);
  });

  test('the message arrives byte for byte below our marker and our Received line', async () => {
    const sink = keep(await startSink({ lmtp: true }));
    const mta = await startWith([route('store', sink.port, { protocol: 'LMTP' })]);
    const data = `Subject:  odd   spacing\r\nFROM: a@b.example\r\nX-Long: ${'x'.repeat(3000)}\r\n\tfolded\r\n\r\n\xe4\xf6 ..\r\n..dot\r\n\r\n`;
    const session = await mta.session();
    const envelope = { from: 'a@b.example', to: ['info@example.com'] };
    expect((await session.mail({ ...envelope, data })).at(-1)).toMatch(/^250 /);
    await eventually(() => sink.mails.length === 1, 'the sink has the mail');
    const arrived = sink.mails[0]?.data ?? '';
    expect(arrived).toMatch(
      /^X-Spam-Flag: NO\r\nReceived: from client\.example \(\[127\.0\.0\.1\]\)\r\n\tby mx\.mta\.example .*\r\n\tenvelope-from <a@b\.example>;\r\n\t/,
    );
    expect(arrived.slice(arrived.indexOf('Subject:'))).toBe(data.replace('\r\n..dot', '\r\n.dot'));
  });
});

describe('Routes', () => {
  test('G9: a refused mail makes no DSN while its sender is not proven; the ledger counts it', async () => {
    const sink = keep(await startSink({ behaviour: { rcpt: () => '550 5.1.1 no such user' } }));
    const mta = await startWith([route('store', sink.port)]);
    await send(mta, ['user@example.com'], 'to nobody', 'forged@victim.example');
    await emptied(mta);
    await send(mta, ['user@example.com'], 'a bounce', '');
    await emptied(mta);
    await eventually(
      async () => (await mta.state()).ledger.doubleBounces === 1,
      'the double bounce is counted',
    );
    expect((await mta.state()).ledger).toMatchObject({ backscatterAvoided: 1, doubleBounces: 1 });
    expect(sink.mails).toEqual([]);
  });

  test.each([
    ['MAIL', { mail: () => '550 5.7.1 we do not like you' }],
    ['a recipient for now', { rcpt: () => '450 4.2.1 later' }],
    ['the data for now', { data: () => '451 4.3.0 later' }],
  ])('R5: a refusal of %s defers', async (_what, behaviour) => {
    const sink = keep(await startSink({ behaviour }));
    const mta = await startWith([route('store', sink.port)]);
    await send(mta, ['user@example.com']);
    await eventually(
      () => mta.logged(({ event }) => event === 'deferred').length > 0,
      'the mail is deferred',
    );
    sink.behaviour = {};
    await eventually(() => sink.mails.length === 1, 'the next attempt delivers');
    expect((await mta.state()).ledger.backscatterAvoided).toBe(0);
  });

  test.each([
    ['does not greet', [], /^4\.4\.2 127\.0\.0\.1:\d+: the connection ended in phase connect\b/],
    ['says nothing after its greeting', ['220 hi'], /^4\.4\.2 .*: the connection ended in phase hello\b/],
    ['leaves at MAIL', ['220 hi', '250 hi'], /^4\.4\.2 .*: the connection ended in phase (mail|rcpt)\b/],
  ])('R5: a server that %s defers, and the reason says how far it came', async (_what, lines, reason) => {
    const server = createServer((socket) => {
      const rest = [...lines];
      const next = () => {
        const line = rest.shift();
        if (line === undefined) socket.end();
        else socket.write(`${line}\r\n`);
      };
      socket.on('data', next).on('error', () => undefined);
      next();
    });
    keep({ [Symbol.asyncDispose]: async () => void server.close() });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const mta = await startWith([route('store', portOf(server))]);
    await send(mta, ['user@example.com']);
    const deferred = () => mta.logged(({ event }) => event === 'deferred');
    await eventually(() => deferred().length > 0, 'the mail is deferred');
    expect(deferred()[0]?.['reason']).toMatch(reason);
  });

  test('R5: a 5xx at the end of the data is final', async () => {
    const sink = keep(await startSink({ behaviour: { data: () => '554 5.6.0 no' } }));
    const mta = await startWith([route('store', sink.port)]);
    await send(mta, ['user@example.com']);
    await emptied(mta);
    await eventually(
      async () => (await mta.state()).ledger.backscatterAvoided === 1,
      'the failure is counted',
    );
  });

  test('R2: a changed Route is followed by mail that is queued already', async () => {
    const sink = keep(await startSink());
    const mta = await startWith([route('store', 1)]);
    await send(mta, ['user@example.com']);
    await eventually(
      () => mta.logged(({ event }) => event === 'deferred').length > 0,
      'nobody listens on the first port',
    );
    await mta.loadPolicy(toRoute([route('store', sink.port)]));
    await eventually(() => sink.mails.length === 1, 'delivered to the new port');
  });

  test('R9: a leg whose Route or MailDomain is gone defers with 4.3.5 and is delivered when it comes back', async () => {
    const sink = keep(await startSink({ behaviour: { rcpt: () => '450 4.2.1 later' } }));
    const mta = await startWith([route('store', sink.port)]);
    await send(mta, ['user@example.com']);
    await eventually(() => mta.logged(({ event }) => event === 'deferred').length > 0, 'the mail is queued');
    sink.behaviour = {};
    await mta.loadPolicy(toRoute([]));
    await deferred(mta, /4\.3\.5 Route store is gone/);
    await mta.loadPolicy({ ...bundleOf([]), routes: [route('store', sink.port)] });
    await deferred(mta, /4\.3\.5 MailDomain of example\.com is gone/);
    expect(sink.mails).toEqual([]);
    await mta.loadPolicy(toRoute([route('store', sink.port)]));
    await eventually(() => sink.mails.length === 1, 'delivered when it is back');
  }, 90_000);

  test('I6: a routed copy and the mailbox are independent: the mailbox has its mail while the Route is down', async () => {
    const mta = keep(
      await startMta({
        bundle: {
          ...bundleOf([
            domainPolicy('example.com', {
              inboundRouting: [rule({ route: 'archive', alsoDeliverLocally: true })],
            }),
          ]),
          routes: [route('archive', 1)],
        },
      }),
    );
    expect((await send(mta, ['user@example.com'])).at(-1)).toMatch(/^250 /);
    expect(await mta.mailbox('example.com', 'user')).toHaveLength(1);
    expect(await mta.queued()).toHaveLength(1);
  });

  test('addresses that Haraka itself does not parse travel through the queue, also across a restart', async () => {
    const sink = keep(await startSink({ behaviour: { rcpt: () => '450 4.2.1 later' } }));
    const mta = await startWith([route('store', sink.port)]);
    const to = `info+${'x'.repeat(100)}@example.com`;
    const from = `${'y'.repeat(70)}@list.elsewhere.example.`;
    expect((await send(mta, [to], 'carried', from)).at(-1)).toMatch(/^250 /);
    await eventually(() => mta.logged(({ event }) => event === 'deferred').length > 0, 'the mail is queued');
    await mta.end('SIGTERM');
    sink.behaviour = {};
    await mta.start();
    await eventually(() => sink.mails.length === 1, 'delivered after the restart');
    expect(sink.mails[0]).toMatchObject({ from: from.slice(0, -1), to: [to] });
  });

  test('a name that only the hosts file knows leads to its address', async () => {
    const sink = keep(await startSink());
    const mta = await startWith([route('store', sink.port, { host: 'localhost' })]);
    await send(mta, ['user@example.com']);
    await eventually(() => sink.mails.length === 1, 'delivered to localhost');
  });

  test('no more deliveries run at a time than the Route allows', async () => {
    let open = 0;
    let most = 0;
    const sink = keep(
      await startSink({
        behaviour: { delayMs: 100 },
        server: {
          onConnect: (_session, done) => {
            open += 1;
            most = Math.max(most, open);
            done();
          },
          onClose: () => {
            open -= 1;
          },
        },
      }),
    );
    const mta = await startWith([
      route('store', sink.port, { connection: { maxConcurrent: 2, timeoutSeconds: 20 } }),
    ]);
    const session = await mta.session();
    for (let i = 0; i < 6; i += 1) await session.mail({ to: ['user@example.com'] });
    await eventually(() => sink.mails.length === 6, 'all are delivered');
    expect(most).toBeLessThanOrEqual(2);
  });
});

describe('TLS of a Route', () => {
  const tlsSink = async (
    over: { cert?: { cert: string; key: string }; implicit?: boolean } = {},
  ): Promise<Sink> => {
    const { cert, key } = over.cert ?? certificate;
    return keep(
      await startSink({ server: { disabledCommands: ['AUTH'], secure: over.implicit ?? false, cert, key } }),
    );
  };
  const verified = (over: Partial<RoutePolicy['tls']> = {}): RoutePolicy['tls'] => ({
    mode: 'Required',
    verify: 'TrustedCAAndHostname',
    caBundle: certificate.cert,
    serverName: 'sink.example',
    ...over,
  });

  test.each([
    ['Disabled stays in clear although STARTTLS is offered', { mode: 'Disabled', verify: 'None' }, false],
    ['Opportunistic uses it with any certificate', { mode: 'Opportunistic', verify: 'None' }, true],
    ['Required without verification', { mode: 'Required', verify: 'None' }, true],
  ] as const)('%s', async (_what, tls, secure) => {
    const sink = await tlsSink();
    const mta = await startWith([route('store', sink.port, { tls })]);
    await send(mta, ['user@example.com']);
    await eventually(() => sink.mails.length === 1, 'delivered');
    expect(sink.mails[0]?.secure).toBe(secure);
  });

  test('a trusted certificate with the right name is enough for every level', async () => {
    const sink = await tlsSink();
    for (const verify of ['TrustedCA', 'Hostname', 'TrustedCAAndHostname'] as const) {
      const mta = await startWith([route('store', sink.port, { tls: verified({ verify }) })]);
      await send(mta, ['user@example.com'], verify);
      await eventually(
        () => sink.mails.some(({ data }) => data.includes(verify)),
        `delivered with ${verify}`,
      );
    }
    expect(sink.mails.every(({ secure }) => secure)).toBe(true);
  });

  test.each([
    ['no STARTTLS', 'plain', verified({ verify: 'None' }), /^4\.7\.4 .*starttls-not-supported/],
    ['an untrusted certificate', 'other', verified({ verify: 'TrustedCA' }), /^4\.7\.5 .*not-trusted/],
    [
      'another name in a trusted certificate',
      'tls',
      verified({ serverName: 'wrong.example' }),
      /^4\.7\.5 .*certificate-host-mismatch/,
    ],
    [
      'another name where only the name counts',
      'tls',
      verified({ verify: 'Hostname', serverName: 'wrong.example' }),
      /^4\.7\.5 .*certificate-host-mismatch/,
    ],
  ] as const)(
    'T12: Required is never met by %s: the mail is deferred and not one command is sent in clear',
    async (_what, kind, tls, reason) => {
      const sink =
        kind === 'plain' ? keep(await startSink()) : await tlsSink(kind === 'other' ? { cert: other } : {});
      const mta = await startWith([route('store', sink.port, { tls })]);
      await send(mta, ['user@example.com']);
      await deferred(mta, reason);
      expect(sink.mails).toEqual([]);
      expect(sink.clear).toEqual([]);
      expect(await mta.queued()).toHaveLength(1);
    },
  );

  test('T6: the name alone is enough where only the name is asked for', async () => {
    const sink = await tlsSink();
    const { caBundle: _, ...tls } = verified({ verify: 'Hostname' });
    const mta = await startWith([route('store', sink.port, { tls })]);
    await send(mta, ['user@example.com']);
    await eventually(() => sink.mails.length === 1, 'delivered');
  });

  test('Implicit speaks TLS from the first byte, verified', async () => {
    const sink = await tlsSink({ implicit: true });
    const mta = await startWith([route('store', sink.port, { tls: verified({ mode: 'Implicit' }) })]);
    await send(mta, ['user@example.com']);
    await eventually(() => sink.mails.length === 1, 'delivered');
    expect(sink.mails[0]?.secure).toBe(true);
  });

  test.each([
    ['an untrusted certificate', true],
    ['a server without TLS', false],
  ])('Implicit is never met by %s', async (_what, implicit) => {
    const sink = implicit ? await tlsSink({ implicit: true, cert: other }) : keep(await startSink());
    const tls = verified({ mode: 'Implicit' });
    const mta = await startWith([
      route('store', sink.port, { tls, connection: { maxConcurrent: 1, timeoutSeconds: 2 } }),
    ]);
    await send(mta, ['user@example.com']);
    await eventually(() => mta.logged(({ event }) => event === 'deferred').length > 0, 'deferred');
    expect(sink.mails).toEqual([]);
  });
});

describe('AUTH at a Route', () => {
  const secrets: SecretBundle = {
    ...noSecrets,
    routeAuth: { store: { username: 'postern', password: 's3cret' } },
  };
  const tls: RoutePolicy['tls'] = { mode: 'Required', verify: 'None' };
  const authSink = async (hidden = false) =>
    keep(
      await startSink({
        server: {
          disabledCommands: hidden ? ['AUTH'] : [],
          authOptional: hidden,
          ...certificate,
          onAuth: ({ username, password }, _session, done) => {
            if (username === 'postern' && password === 's3cret') done(null, { user: username });
            else done(Object.assign(new Error('no'), { responseCode: 535 }));
          },
        },
      }),
    );

  test('R5: credentials go over TLS; wrong ones defer, and mended ones deliver', async () => {
    const sink = await authSink();
    const routes = [route('store', sink.port, { tls, authenticated: true })];
    const wrong = { ...secrets, routeAuth: { store: { username: 'postern', password: 'old' } } };
    const mta = await startWith(routes, wrong);
    await send(mta, ['user@example.com']);
    await deferred(mta, /535|no/);
    await mta.loadPolicy(toRoute(routes), secrets);
    await eventually(() => sink.mails.length === 1, 'delivered');
    expect(sink.mails[0]).toMatchObject({ secure: true, user: 'postern' });
    expect(mta.lines.join('\n')).not.toMatch(/s3cret|cG9zdGVybgBz/);
  });

  test('R5: a server that offers no AUTH gets no mail, and in clear it gets no password', async () => {
    const sink = await authSink(true);
    const mta = await startWith([route('store', sink.port, { tls, authenticated: true })], secrets);
    await send(mta, ['user@example.com']);
    await eventually(() => mta.logged(({ event }) => event === 'deferred').length > 0, 'deferred');
    expect(sink.mails).toEqual([]);

    const clear = keep(
      await startSink({
        server: {
          disabledCommands: ['STARTTLS'],
          allowInsecureAuth: true,
          onAuth: (_auth, _session, done) => {
            clear.clear.push('AUTH');
            done(null, { user: 'x' });
          },
        },
      }),
    );
    const plain = await startWith([route('store', clear.port, { authenticated: true })], secrets);
    await send(plain, ['user@example.com']);
    await eventually(() => plain.logged(({ event }) => event === 'deferred').length > 0, 'deferred');
    expect(clear.clear).toEqual([]);
    expect(clear.mails).toEqual([]);
  });
});
