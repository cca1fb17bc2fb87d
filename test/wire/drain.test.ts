import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { bundleOf, domainPolicy } from '../../policy/fixture.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, type MtaTestOptions, prepareMta, startMta } from './mta-process.ts';
import { route } from './route.ts';
import { startSink } from './sink.ts';
import { message } from './smtp-client.ts';

const bundle = bundleOf([domainPolicy('example.com')]);
let mta: MtaProcess;
afterEach(() => mta[Symbol.asyncDispose]());

const start = async (options: MtaTestOptions = {}) => {
  mta = await startMta({ bundle, ...options });
  return mta;
};

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s: idle sessions get 421 4.3.2, a running DATA gets its 250, exit 0',
  async (signal) => {
    await start();
    const [idle, greeted, inEnvelope, inData] = await Promise.all([
      mta.session(),
      mta.connect(),
      mta.session(),
      mta.session(),
    ]);
    await greeted.reply();
    await inEnvelope.send('MAIL FROM:<sender@elsewhere.example>');
    await inData.send('MAIL FROM:<sender@elsewhere.example>');
    await inData.send('RCPT TO:<user@example.com>');
    expect(await inData.send('DATA')).toMatch(/^354 /);
    inData.write('From: <sender@elsewhere.example>\r\n');
    mta.signal(signal);
    for (const session of [idle, greeted, inEnvelope]) {
      expect(await session.reply()).toMatch(/^421 4\.3\.2 /);
      await session.untilClosed();
    }
    await expect(mta.connect()).rejects.toThrow(/ECONNREFUSED/);
    expect((await mta.get('/readyz')).status).toBe(503);
    inData.write('\r\nlast words\r\n.\r\n');
    expect(await inData.reply()).toMatch(/^250 /);
    expect(await inData.reply()).toMatch(/^421 4\.3\.2 /);
    await inData.untilClosed();
    expect(await mta.ended()).toBe(0);
    expect(await mta.mailbox('example.com', 'user')).toEqual([expect.stringContaining('last words')]);
  },
);

test('SIGTERM: a stop that is asked for while the process starts is not lost', async () => {
  mta = await prepareMta({ bundle });
  const started = mta.start();
  await eventually(
    () => existsSync(join(mta.directory, 'home', 'config', 'plugins')),
    'the start is under way',
  );
  mta.signal('SIGTERM');
  await started.catch(() => undefined);
  expect(await mta.ended()).toBe(0);
});

test('an idle process ends at once', async () => {
  await start({ args: ['--grace-seconds', '3600'] });
  expect(await mta.end('SIGTERM')).toBe(0);
});

test('a session that never ends its message is cut off when the grace period is over, without a 250', async () => {
  await start({ args: ['--grace-seconds', '1'] });
  const session = await mta.session();
  await session.send('MAIL FROM:<sender@elsewhere.example>');
  await session.send('RCPT TO:<user@example.com>');
  await session.send('DATA');
  expect(await mta.end('SIGTERM')).toBe(0);
  expect(await session.untilClosed()).toBe('');
  expect(await mta.mailbox('example.com', 'user')).toEqual([]);
});

test('a graceful stop under load loses nothing and delivers nothing twice', async () => {
  await using sink = await startSink({ behaviour: { delayMs: 30 } });
  const store = route('store', sink.port, {
    tls: { mode: 'Disabled', verify: 'None' },
    connection: { maxConcurrent: 5, timeoutSeconds: 20 },
  });
  const routed = {
    ...bundleOf([domainPolicy('example.com', { mailbox: { kind: 'Route', route: 'store' } })]),
    routes: [store],
  };
  mta = await prepareMta({ bundle: routed });
  const accepted: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    await mta.start();
    const clients = Array.from({ length: 4 }, async (_, client) => {
      const session = await mta.session();
      for (let i = 0; i < 1000; i += 1) {
        const subject = `${round}-${client}-${i}`;
        const replies = await session.mail({ to: ['user@example.com'], data: message({ subject }) });
        if (!replies.at(-1)?.startsWith('250')) return;
        accepted.push(subject);
      }
    });
    const before = accepted.length;
    await eventually(() => accepted.length >= before + 40, 'enough mail was accepted');
    expect(await mta.end('SIGTERM')).toBe(0);
    await Promise.all(clients);
  }
  await mta.start();
  const subjects = () => sink.mails.map(({ data }) => /Subject: (\S+)/.exec(data)?.[1]);
  await eventually(
    () => accepted.every((subject) => subjects().includes(subject)),
    'all accepted mail arrives',
  );
  expect(subjects()).toHaveLength(new Set(subjects()).size);
});
