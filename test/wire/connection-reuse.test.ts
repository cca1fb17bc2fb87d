import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import { bundleOf, domainPolicy } from '../../policy/fixture.ts';
import { makeCertificate } from './certificate.ts';
import { eventually } from './eventually.ts';
import { keepUntilTestEnds } from './kept.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { noSecrets } from './policy-files.ts';
import { route } from './route.ts';
import { startSink } from './sink.ts';

const keep = keepUntilTestEnds();

/** What a server says to a command of the nth mail of a session, from 1, or `hang up`; undefined: what is usual. */
type Answer = (command: string, mail: number) => string | undefined;

/** A mail server of a few lines that notes the commands of each session with a mail: the MTA also looks whether it is there. */
async function startServer({ lmtp = false, pipelining = false, answer = (() => undefined) as Answer } = {}) {
  const sessions: string[][] = [];
  /** What came in one piece. */
  const pieces: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const commands: string[] = [];
    sessions.push(commands);
    sockets.add(socket);
    let rest = '';
    let inData = false;
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      pieces.push(data.toString('latin1'));
      rest += data.toString('latin1');
      for (let end = rest.indexOf('\r\n'); end !== -1; end = rest.indexOf('\r\n')) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 2);
        if (inData && line !== '.') continue;
        inData = line === 'DATA';
        const verb = line.split(' ')[0] ?? '';
        commands.push(verb);
        const mails = commands.filter((each) => each === 'MAIL').length;
        const own = answer(verb, mails);
        if (own === 'hang up') socket.destroy();
        else if (own !== undefined) socket.write(`${own}\r\n`);
        else if (verb === 'QUIT') socket.end('221 2.0.0 bye\r\n');
        else if (pipelining && /^(EHLO|LHLO)$/.test(verb)) socket.write('250-server\r\n250 PIPELINING\r\n');
        else socket.write(inData ? '354 go on\r\n' : '250 2.0.0 well\r\n');
      }
    });
    socket.write(`220 server.example ${lmtp ? 'LMTP' : 'ESMTP'}\r\n`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return keep({
    port: address.port,
    pieces,
    mailSessions: () => sessions.filter((commands) => commands.includes('MAIL')),
    /** Mails that were taken. */
    taken: () => sessions.flat().filter((verb) => verb === '.').length,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

function bundleWith(store: RoutePolicy) {
  return {
    ...bundleOf([domainPolicy('example.com', { mailbox: { kind: 'Route', route: 'store' } })]),
    routes: [store],
  };
}

async function startWith(store: RoutePolicy, secrets = noSecrets): Promise<MtaProcess> {
  return keep(await startMta({ bundle: bundleWith(store), secrets }));
}

/** One delivery at a time: the next one begins when the last one has ended. */
function oneByOne(store: RoutePolicy): RoutePolicy {
  return { ...store, connection: { maxConcurrent: 1, timeoutSeconds: 20 } };
}

/** Sends mails, the next one when the last one has arrived. */
async function sendInTurn(mta: MtaProcess, count: number, taken: () => number): Promise<void> {
  const session = await mta.session();
  for (let i = 0; i < count; i += 1) {
    const before = taken();
    expect((await session.mail({ to: ['user@example.com'] })).at(-1)).toMatch(/^250/);
    await eventually(() => taken() === before + 1, `mail ${i + 1} has arrived`);
  }
  await session.close();
}

/** One copy for each, queued in one step. */
const three = ['user+1@example.com', 'user+2@example.com', 'user+3@example.com'];
const deferrals = (mta: MtaProcess) => mta.logged(({ event }) => event === 'deferred');
const mail = ['MAIL', 'RCPT', 'DATA', '.'];

test.each([
  ['SMTP', 'EHLO'],
  ['LMTP', 'LHLO'],
] as const)(
  'mails that follow each other go over one %s connection, which is then closed',
  async (protocol, hello) => {
    const server = await startServer({ lmtp: protocol === 'LMTP' });
    const mta = await startWith(oneByOne(route('store', server.port, { protocol })));
    const session = await mta.session();
    for (let i = 0; i < 3; i += 1) await session.mail({ to: ['user@example.com'] });
    await eventually(() => server.mailSessions()[0]?.at(-1) === 'QUIT', 'the connection is closed politely');
    expect(server.mailSessions()).toEqual([[hello, ...mail, ...mail, ...mail, 'QUIT']]);
  },
);

test.each(['SMTP', 'LMTP'] as const)(
  'over %s, sender and recipient are sent together where PIPELINING is offered, and the message with its end',
  async (protocol) => {
    const lmtp = protocol === 'LMTP';
    for (const pipelining of [true, false]) {
      const server = await startServer({ lmtp, pipelining });
      const mta = await startWith(oneByOne(route('store', server.port, { protocol })));
      await sendInTurn(mta, 2, server.taken);
      const of = (verb: string) => server.pieces.filter((piece) => piece.includes(`${verb} `));
      const together = ['MAIL FROM:<sender@elsewhere.example>\r\nRCPT TO:<user@example.com>\r\n'];
      if (pipelining) expect(of('RCPT')).toEqual([...together, ...together]);
      else expect(of('MAIL').every((piece) => piece.split('\r\n').length === 2)).toBe(true);
      expect(server.mailSessions()).toEqual([[lmtp ? 'LHLO' : 'EHLO', ...mail, ...mail]]);
      const ends = server.pieces.filter((piece) => piece.endsWith('\r\n.\r\n'));
      expect(ends.every((piece) => /^Received: /m.test(piece))).toBe(true);
      expect(ends).toHaveLength(2);
    }
  },
);

test('a sender that is refused after the recipient was sent with it defers the mail', async () => {
  const server = await startServer({
    pipelining: true,
    answer: (verb) => (verb === 'MAIL' ? '550 5.7.1 not you' : undefined),
  });
  const mta = await startWith(oneByOne(route('store', server.port)));
  const session = await mta.session();
  await session.mail({ to: ['user@example.com'] });
  await eventually(() => deferrals(mta).length === 1, 'it is deferred');
  expect(deferrals(mta)[0]).toMatchObject({ reason: expect.stringContaining('not you') });
  await eventually(() => server.mailSessions()[0]?.at(-1) === 'QUIT', 'the connection is closed');
  expect(server.mailSessions()).toEqual([['EHLO', 'MAIL', 'RCPT', 'QUIT']]);
});

test.each([
  ['MAIL', 'hang up', ''],
  ['MAIL', '421 4.4.2 you have been silent for too long', ''],
  ['MAIL', '452 4.5.3 too many messages in this session', ''],
  ['MAIL', '503 5.5.1 one mail for each session', ''],
  ['MAIL', 'what?', ''],
  ['RCPT', '421 4.3.2 shutting down', ''],
  ['DATA', 'hang up', ''],
  ['MAIL', 'hang up', ', PIPELINING'],
  ['MAIL', '452 4.5.3 too many messages in this session', ', PIPELINING'],
  ['RCPT', '421 4.3.2 shutting down', ', PIPELINING'],
])(
  'a connection that wants no second mail costs that mail nothing: at %s %s %s',
  async (command, says, how) => {
    const server = await startServer({
      pipelining: how !== '',
      answer: (verb, nth) => (verb === command && nth > 1 ? says : undefined),
    });
    const mta = await startWith(oneByOne(route('store', server.port)));
    await sendInTurn(mta, 3, server.taken);
    expect(server.mailSessions().filter((commands) => commands.includes('.'))).toHaveLength(3);
    expect(mta.logged(({ event }) => event === 'deferred' || event === 'failed')).toEqual([]);
  },
);

test('a recipient that is refused on a connection that was open already is refused', async () => {
  const server = await startServer({
    answer: (verb, nth) => (verb === 'RCPT' && nth === 2 ? '550 5.1.1 nobody' : undefined),
  });
  const mta = await startWith(oneByOne(route('store', server.port)));
  const session = await mta.session();
  await session.mail({ to: three });
  await eventually(() => mta.logged(({ event }) => event === 'failed').length === 1, 'one has failed');
  await eventually(() => server.taken() === 2, 'the others have arrived');
  expect(server.mailSessions()).toHaveLength(2);
});

test('a server that says 421 to everybody still defers', async () => {
  const server = await startServer({ answer: (verb) => (verb === 'MAIL' ? '421 4.3.2 later' : undefined) });
  const mta = await startWith(route('store', server.port));
  const session = await mta.session();
  await session.mail({ to: ['user@example.com'] });
  await eventually(() => deferrals(mta).length > 0, 'deferred');
  expect(server.taken()).toBe(0);
});

test('what waits counts as a connection of its Route: another way to the Route closes it', async () => {
  const server = await startServer();
  const store = oneByOne(route('store', server.port));
  const mta = await startWith(store);
  await sendInTurn(mta, 1, server.taken);
  await mta.loadPolicy(bundleWith({ ...store, connection: { maxConcurrent: 1, timeoutSeconds: 30 } }));
  await sendInTurn(mta, 1, server.taken);
  await eventually(() => server.mailSessions()[0]?.at(-1) === 'QUIT', 'the first one is closed');
  expect(server.mailSessions().map((commands) => commands.filter((verb) => verb === '.'))).toEqual([
    ['.'],
    ['.'],
  ]);
});

test('no connection takes more than 100 mails', async () => {
  const server = await startServer();
  const mta = await startWith(oneByOne(route('store', server.port)));
  const session = await mta.session();
  for (let i = 0; i < 105; i += 1) await session.mail({ to: ['user@example.com'] });
  await eventually(() => server.taken() === 105, 'all have arrived');
  for (const commands of server.mailSessions())
    expect(commands.filter((verb) => verb === 'MAIL').length).toBeLessThanOrEqual(100);
  expect(server.mailSessions().length).toBeLessThan(10);
});

test('a Route that asks for TLS now does not use a connection that was opened without', async () => {
  const certificate = await makeCertificate('sink.example');
  const sink = keep(await startSink({ server: { disabledCommands: ['AUTH'], ...certificate } }));
  const clear = route('store', sink.port, { tls: { mode: 'Disabled', verify: 'None' } });
  const mta = await startWith(clear);
  await sendInTurn(mta, 1, () => sink.mails.length);
  await mta.loadPolicy(bundleWith({ ...clear, tls: { mode: 'Required', verify: 'None' } }));
  await sendInTurn(mta, 2, () => sink.mails.length);
  expect(sink.mails.map(({ secure }) => secure)).toEqual([false, true, true]);
});

test('credentials that were changed are used from the next mail on', async () => {
  const certificate = await makeCertificate('sink.example');
  const sink = keep(
    await startSink({
      server: {
        disabledCommands: [],
        authOptional: false,
        ...certificate,
        onAuth: ({ username }, _session, done) => done(null, { user: username }),
      },
    }),
  );
  const store = route('store', sink.port, {
    tls: { mode: 'Required', verify: 'None' },
    authenticated: true,
  });
  const secrets = (username: string) => ({
    ...noSecrets,
    routeAuth: { store: { username, password: 's3cret' } },
  });
  const mta = await startWith(store, secrets('first'));
  await sendInTurn(mta, 2, () => sink.mails.length);
  await mta.loadPolicy(bundleWith(store), secrets('second'));
  await sendInTurn(mta, 1, () => sink.mails.length);
  expect(sink.mails.map(({ user, secure }) => [user, secure])).toEqual([
    ['first', true],
    ['first', true],
    ['second', true],
  ]);
});

test('a process that stops closes what waits', async () => {
  const server = await startServer();
  const mta = await startWith(route('store', server.port));
  await sendInTurn(mta, 1, server.taken);
  mta.signal('SIGTERM');
  await mta.ended();
  await eventually(() => server.mailSessions()[0]?.at(-1) === 'QUIT', 'QUIT was said');
});
