import { expect, inject, test } from 'vitest';
import { bundleOf, domainPolicy, list } from '../../policy/fixture.ts';
import { message } from '../wire/smtp-client.ts';
import { startMtaContainer } from './mta-container.ts';

const image = inject('image');
// Every address, so whatever the client's looks like behind Docker's proxy.
const everybody = list('everybody', ['0.0.0.0/1', '128.0.0.0/1', '::/1', '8000::/1']);
const bundle = bundleOf(
  [
    domainPolicy('example.com'),
    domainPolicy('closed.example', { access: { allow: [], block: ['everybody'] } }),
  ],
  [everybody],
);

test('serves mail with user 65532, a read-only root and no capabilities', async () => {
  await using mta = await startMtaContainer(image, bundle);
  const session = await mta.session();
  expect(await session.send('MAIL FROM:<sender@elsewhere.example>')).toMatch(/^250 /);
  expect(await session.send('RCPT TO:<nobody@example.com>')).toMatch(/^550 5\.1\.1 .*\(ref [0-9A-Z]{8}\)$/);
  expect(await session.send('RCPT TO:<user@closed.example>')).toMatch(/^550 5\.7\.1 .*\(ref [0-9A-Z]{8}\)$/);
  await session.send('RSET');
  const replies = await session.mail({
    to: ['user@example.com'],
    data: message({ body: 'kept on a volume\r\n' }),
  });
  expect(replies.at(-1)).toMatch(/^250 /);
  expect(await mta.mailbox('example.com', 'user')).toEqual([expect.stringContaining('kept on a volume')]);

  expect((await mta.get('/readyz')).status).toBe(200);
  const status = (await mta.run('cat', '/proc/1/status')).output;
  expect(status).toMatch(/^Uid:\t65532\t65532\t65532\t65532$/m);
  expect(status).toMatch(/^CapBnd:\t0+$/m);
  expect((await mta.run('touch', '/opt/postern/x')).output).toContain('Read-only file system');
  expect(await mta.terminate(20)).toBe(0);
});

test('SIGTERM to PID 1: idle sessions get 421 4.3.2, a running DATA gets its 250, exit 0 within the grace', async () => {
  await using mta = await startMtaContainer(image, bundle);
  const [idle, busy] = await Promise.all([mta.session(), mta.session()]);
  await busy.send('MAIL FROM:<sender@elsewhere.example>');
  await busy.send('RCPT TO:<user@example.com>');
  expect(await busy.send('DATA')).toMatch(/^354 /);
  busy.write('From: <sender@elsewhere.example>\r\n');
  const exit = mta.terminate(30);
  expect(await idle.reply()).toMatch(/^421 4\.3\.2 /);
  busy.write('\r\nlast words\r\n.\r\n');
  expect(await busy.reply()).toMatch(/^250 /);
  expect(await exit).toBe(0);
  expect(await mta.mailbox('example.com', 'user')).toEqual([expect.stringContaining('last words')]);
});
