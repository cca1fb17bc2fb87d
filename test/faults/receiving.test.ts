// Faults of the servers behind the MTA, and clients that mean to hold it up.
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import { bundleOf, domainPolicy, rule } from '../../policy/fixture.ts';
import { eventually } from '../wire/eventually.ts';
import { keepUntilTestEnds } from '../wire/kept.ts';
import { type MtaProcess, startMta } from '../wire/mta-process.ts';
import { route } from '../wire/route.ts';
import { startSink } from '../wire/sink.ts';
import { message } from '../wire/smtp-client.ts';
import { recordFaults } from './record.ts';

const domain = 'example.com';
const keep = keepUntilTestEnds();

async function startWith(
  routes: RoutePolicy[],
  over: Parameters<typeof domainPolicy>[1] = {},
): Promise<MtaProcess> {
  const own = domainPolicy(domain, { mailbox: { kind: 'Route', route: 'store' }, ...over });
  return keep(await startMta({ bundle: { ...bundleOf([own, domainPolicy('local.example')]), routes } }));
}

async function send(mta: MtaProcess, to: readonly string[], subject = 'hello'): Promise<string> {
  const session = await mta.session();
  const replies = await session.mail({
    to: to.map((user) => `${user}@${domain}`),
    data: message({ subject }),
  });
  await session.send('QUIT');
  return replies.at(-1) ?? '';
}

const emptied = (mta: MtaProcess) =>
  eventually(async () => (await mta.queued()).length === 0, 'the queue is empty', 60_000);
const logged = (mta: MtaProcess, event: string) => mta.logged((entry) => entry['event'] === event);

/** An LMTP server that is played by hand: it says yes to everything until the end of the data. */
async function startLmtp(
  end: (socket: Socket) => void,
): Promise<{ port: number; messages: () => number } & AsyncDisposable> {
  let messages = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    let inData = false;
    let text = '';
    socket.write('220 lmtp\r\n');
    socket.on('data', (data) => {
      text += data.toString('latin1');
      for (let at = text.indexOf('\r\n'); at !== -1; at = text.indexOf('\r\n')) {
        const line = text.slice(0, at);
        text = text.slice(at + 2);
        if (inData) {
          if (line !== '.') continue;
          inData = false;
          messages += 1;
          end(socket);
        } else if (line === 'DATA') {
          inData = true;
          socket.write('354 go\r\n');
        } else socket.write(line.startsWith('LHLO') ? '250-lmtp\r\n250 PIPELINING\r\n' : '250 2.0.0 ok\r\n');
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    messages: () => messages,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('X17: a mail store that fails', () => {
  test('X17: one of three recipients is deferred: the others are delivered once, and it when it can', async () => {
    const sink = keep(await startSink({ lmtp: true }));
    sink.behaviour = { data: (to) => (to.startsWith('sales') ? '450 4.2.0 later' : undefined) };
    const mta = await startWith([route('store', sink.port, { protocol: 'LMTP' })]);
    expect(await send(mta, ['info', 'sales', 'user'])).toMatch(/^250 /);
    await eventually(async () => (await mta.queued()).length === 1, 'one leg is left');
    sink.behaviour = {};
    await emptied(mta);
    expect(sink.mails.flatMap(({ to }) => to).sort()).toEqual(
      ['info', 'sales', 'user'].map((user) => `${user}@${domain}`),
    );
    recordFaults(1);
  });

  test('X17: one that is down takes everything when it is back, each mail once', async () => {
    const first = await startSink({ lmtp: true });
    const { port } = first;
    await first[Symbol.asyncDispose]();
    const mta = await startWith([route('store', port, { protocol: 'LMTP' })]);
    for (let i = 0; i < 5; i += 1) expect(await send(mta, ['user'], `mail ${i}`)).toMatch(/^250 /);
    await eventually(() => logged(mta, 'deferred').length >= 5, 'all are deferred');
    expect(await mta.queued()).toHaveLength(5);
    const sink = keep(await startSink({ lmtp: true, port }));
    await emptied(mta);
    const subjects = sink.mails.map(({ data }) => /^Subject: (.*)\r$/m.exec(data)?.[1]).sort();
    expect(subjects).toEqual([0, 1, 2, 3, 4].map((i) => `mail ${i}`));
    recordFaults(5);
  });

  test('X17: one that hangs after the data is given up after the time of its Route, and asked again', async () => {
    const answers: ((socket: Socket) => void)[] = [() => undefined];
    const lmtp = keep(await startLmtp((socket) => (answers.shift() ?? accept)(socket)));
    const connection = { maxConcurrent: 1, timeoutSeconds: 1 };
    const mta = await startWith([route('store', lmtp.port, { protocol: 'LMTP', connection })]);
    expect(await send(mta, ['user'])).toMatch(/^250 /);
    await eventually(() => logged(mta, 'deferred').length === 1, 'the first attempt is given up');
    await emptied(mta);
    expect(lmtp.messages()).toBe(2);
    expect(logged(mta, 'failed')).toEqual([]);
    recordFaults(1);
  });

  test('X17: one that answers 250 and drops the connection has the mail once', async () => {
    const lmtp = keep(
      await startLmtp((socket) => {
        socket.write('250 2.0.0 stored\r\n', () => socket.destroy());
      }),
    );
    const mta = await startWith([route('store', lmtp.port, { protocol: 'LMTP' })]);
    expect(await send(mta, ['user'])).toMatch(/^250 /);
    await emptied(mta);
    expect(lmtp.messages()).toBe(1);
    recordFaults(1);
  });
});

function accept(socket: Socket): void {
  socket.write('250 2.0.0 stored\r\n');
}

test('X18, I6: of two copies the one whose server is down is tried again alone', async () => {
  const [archive, store] = [keep(await startSink()), keep(await startSink({ lmtp: true }))];
  archive.behaviour = { mail: () => '451 4.3.0 down' };
  const mta = await startWith(
    [route('store', store.port, { protocol: 'LMTP' }), route('archive', archive.port)],
    {
      inboundRouting: [rule({ route: 'archive', alsoDeliverLocally: true })],
    },
  );
  expect(await send(mta, ['user'])).toMatch(/^250 /);
  await eventually(() => logged(mta, 'deferred').length >= 2, 'the archive was tried twice');
  expect(store.mails).toHaveLength(1);
  archive.behaviour = {};
  await emptied(mta);
  expect([archive.mails.length, store.mails.length]).toEqual([1, 1]);
  recordFaults(1);
});

describe('X26: clients that hold up others', () => {
  const idle = 300;

  test('X26: idle connections and commands that come byte by byte keep nobody from delivering', async () => {
    const mta = await startWith([]);
    const slow = await Promise.all(Array.from({ length: idle }, () => mta.connect()));
    for (const [position, client] of slow.entries()) if (position % 3 === 0) client.write('EHL');
    for (let round = 0; round < 3; round += 1) {
      const session = await mta.session();
      const replies = await session.mail({
        to: ['user@local.example'],
        data: message({ subject: `round ${round}` }),
      });
      expect(replies.at(-1)).toMatch(/^250 /);
      await session.send('QUIT');
      for (const client of slow.slice(0, 50)) client.write('x');
    }
    expect(await mta.mailbox('local.example', 'user')).toHaveLength(3);
    expect((await mta.get('/readyz')).status).toBe(200);
    recordFaults(idle);
  });

  test('X26: a header of megabytes is refused, a hundred thousand MIME parts are carried or refused, and mail goes on', async () => {
    const mta = await startWith([]);
    const to = ['user@local.example'];
    const header = `X-Flood: ${'x'.repeat(900)}\r\n`.repeat(1_300);
    const flooded = await (await mta.session()).mail({
      to,
      data: `From: <a@b.example>\r\n${header}\r\ntext\r\n`,
    });
    expect(flooded.at(-1)).toMatch(/^5\d\d /);
    const parts = '--b\r\n\r\nx\r\n'.repeat(100_000);
    const head =
      'From: <a@b.example>\r\nSubject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n';
    const limits = domainPolicy('local.example', { maxMessageBytes: 5_000_000 });
    await mta.loadPolicy(bundleOf([limits]));
    const many = await (await mta.session()).mail({ to, data: `${head}${parts}--b--\r\n` });
    expect(many.at(-1)).toMatch(/^(?:250|[45]\d\d) /);
    const after = await (await mta.session()).mail({ to, data: message({ subject: 'after' }) });
    expect(after.at(-1)).toMatch(/^250 /);
    recordFaults(2);
  });
});
