import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleOf, domainPolicy, list } from '../../policy/fixture.ts';
import { makeCertificate } from './certificate.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { proxyV2, proxyV2From } from './proxy-header.ts';
import { message, type SmtpClient } from './smtp-client.ts';

const blocked = '203.0.113.5';
const bundle = bundleOf(
  [domainPolicy('example.com', { maxMessageBytes: 1_000_000, access: { allow: [], block: ['bad'] } })],
  [list('bad', [blocked, '2001:db8::5'])],
);

let mta: MtaProcess;
beforeAll(async () => {
  mta = await startMta({
    bundle,
    certificate: await makeCertificate(),
    args: ['--proxy-from', '127.0.0.2', '--submissions', '127.0.0.1:0'],
  });
});
afterAll(() => mta[Symbol.asyncDispose]());

/** A session that is waiting for the lines of a message. */
async function inData(): Promise<SmtpClient> {
  const session = await mta.session();
  await session.send('MAIL FROM:<sender@elsewhere.example>');
  await session.send('RCPT TO:<user@example.com>');
  expect(await session.send('DATA')).toMatch(/^354 /);
  return session;
}

const smuggled =
  'MAIL FROM:<smuggler@evil.example>\r\nRCPT TO:<info@example.com>\r\nDATA\r\nFrom: <a@evil.example>\r\n\r\nsmuggled\r\n';

describe('G20: smuggling: ', () => {
  test.each([
    ['LF . LF', '\n.\n'],
    ['LF . CRLF', '\n.\r\n'],
    ['CRLF . LF', '\r\n.\n'],
    ['LF . CR LF with more', 'x\n.\r\n'],
    ['a bare LF in a line', 'two\nlines'],
    ['CR . CRLF', '\r.\r\n'],
    ['CRLF . CR', '\r\n.\r'],
    ['CR . CR', '\r.\r'],
    ['CR CRLF . CRLF', '\r\r\n.\r\n'],
    ['CRLF CR . CRLF', '\r\n\r.\r\n'],
    ['CRLF . CR CRLF', '\r\n.\r\r\n'],
    ['NUL . CRLF', '\r\n\0.\r\n'],
    ['. NUL CRLF', '\r\n.\0\r\n'],
    ['a bare CR in a line', 'two\rlines'],
    ['a NUL in a line', 'nul\0nul'],
  ])('%s is refused with 550 5.6.0 and nothing is filed', async (_what, sequence) => {
    const session = await inData();
    session.write(`${message()}${sequence}${smuggled}.\r\n`);
    expect(await session.reply()).toMatch(/^550 5\.6\.0 .*\(ref [0-9A-Z]{8}\)$/);
    // Whatever follows was written before the reply: none of it may have been taken for commands.
    session.write('QUIT\r\n');
    expect(await session.untilClosed()).not.toMatch(/^(?:250|354)/m);
    expect(await mta.mailbox('example.com', 'info')).toEqual([]);
    expect(await mta.mailbox('example.com', 'user')).toEqual([]);
    expect(await mta.queued()).toEqual([]);
  });

  test('commands after a bare LF in later packets are not run', async () => {
    const session = await inData();
    session.write(`${message()}\n.\r\n`);
    expect(await session.reply()).toMatch(/^550 5\.6\.0 /);
    session.write(`${smuggled}.\r\n`);
    expect(await session.untilClosed()).not.toMatch(/^250/m);
    expect(await mta.mailbox('example.com', 'info')).toEqual([]);
  });

  test('commands pipelined after the end of the data are not run', async () => {
    const session = await inData();
    session.write(`${message({ subject: 'pipelined' })}.\r\n${smuggled}.\r\n`);
    expect(await session.reply()).toMatch(/^250 /);
    session.write('QUIT\r\n');
    expect(await session.untilClosed()).not.toMatch(/^(?:250|354)/m);
    expect(await mta.mailbox('example.com', 'info')).toEqual([]);
  });

  test('dots at line starts are unstuffed in the mailbox', async () => {
    const session = await mta.session();
    await session.mail({ to: ['sales@example.com'], data: message({ body: '..\r\n..two\r\nthree.\r\n' }) });
    expect((await mta.mailbox('example.com', 'sales'))[0]).toMatch(/\n\n\.\n\.two\nthree\.\n$/);
  });
});

describe('G14: the client address', () => {
  const proxied = async (line: string, from = '127.0.0.2') => {
    const session = await mta.connect('smtp', from);
    session.write(line);
    return session;
  };

  test('a PROXY line from a listed proxy says who the client is', async () => {
    const session = await proxied(`PROXY TCP4 ${blocked} 127.0.0.1 1 25\r\n`);
    expect(await session.reply()).toMatch(/^220 /);
    await session.send('EHLO client.example');
    expect((await session.mail({ to: ['user@example.com'] }))[1]).toMatch(/^550 5\.7\.1 /);
  });

  test('a PROXY line from anybody else is refused and closes', async () => {
    const session = await proxied('PROXY TCP4 192.0.2.1 127.0.0.1 1 25\r\n', '127.0.0.1');
    expect(
      (await session.untilClosed())
        .split('\r\n')
        .filter((line) => line !== '')
        .at(-1),
    ).toMatch(/^421 /);
  });

  test.each(['before EHLO', 'after EHLO', 'within a transaction'])(
    'a second PROXY line %s is refused and closes',
    async (when) => {
      const session = await proxied(`PROXY TCP4 ${blocked} 127.0.0.1 1 25\r\n`);
      await session.reply();
      if (when !== 'before EHLO') await session.send('EHLO client.example');
      if (when === 'within a transaction') await session.send('MAIL FROM:<a@b.example>');
      expect(await session.send('PROXY TCP4 192.0.2.1 127.0.0.1 1 25')).toMatch(/^421 /);
      await session.untilClosed();
    },
  );

  test.each([
    'PROXY UNKNOWN\r\n',
    'PROXY TCP4 nonsense 127.0.0.1 1 25\r\n',
    'PROXY TCP6 192.0.2.1 127.0.0.1 1 25\r\n',
  ])('the PROXY line %j is refused', async (line) => {
    const session = await proxied(line);
    expect(await session.reply()).toMatch(/^421 /);
    await session.untilClosed();
  });

  const v6 = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];

  test.each([
    ['TCP4', proxyV2From(blocked)],
    ['TCP6', proxyV2({ family: 0x21, addresses: [...v6, ...v6, 0, 1, 0, 25] })],
    [
      'TCP6 with a mapped address',
      proxyV2({
        family: 0x21,
        addresses: [...Array(10).fill(0), 0xff, 0xff, 203, 0, 113, 5, ...v6, 0, 1, 0, 25],
      }),
    ],
  ])('version 2, %s: a header from a listed proxy says who the client is', async (_what, header) => {
    const session = await mta.connect('smtp', '127.0.0.2');
    // In pieces, the last one with a command behind it.
    session.write(header.subarray(0, 13));
    session.write(header.subarray(13, 20));
    session.write(Buffer.concat([header.subarray(20), Buffer.from('EHLO client.example\r\n')]));
    expect(await session.reply()).toMatch(/^220 /);
    expect(await session.reply()).toMatch(/^250/);
    expect((await session.mail({ to: ['user@example.com'] }))[1]).toMatch(/^550 5\.7\.1 /);
  });

  test('version 2 over TLS from the first byte', async () => {
    const session = await mta.connect('submissions', '127.0.0.2');
    session.write(proxyV2From('192.0.2.77'));
    await session.secure();
    expect(await session.reply()).toMatch(/^220 /);
    expect(await session.send('EHLO client.example')).toMatch(/AUTH PLAIN/);
    await session.send(`AUTH PLAIN ${Buffer.from('\0a@example.com\0x').toString('base64')}`);
    await eventually(
      () => mta.logged(({ event, peer }) => event === 'authentication' && peer === '192.0.2.77').length > 0,
      'the log has the client address',
    );
  });

  test('version 2: LOCAL keeps the peer', async () => {
    const session = await mta.connect('smtp', '127.0.0.2');
    session.write(
      proxyV2({ command: 0x20, family: 0x11, addresses: [203, 0, 113, 5, 127, 0, 0, 1, 0, 1, 0, 25] }),
    );
    expect(await session.reply()).toMatch(/^220 /);
    await session.send('EHLO client.example');
    expect((await session.mail({ to: ['user@example.com'] })).at(-1)).toMatch(/^250 /);
    await session.send('QUIT');
    await eventually(
      () => mta.logged(({ event, peer }) => event === 'transaction' && peer === '127.0.0.2').length > 0,
      'the peer is the proxy',
    );
  });

  test.each([
    ['an unknown family', proxyV2({ family: 0x00 })],
    ['another version', proxyV2({ command: 0x31, family: 0x11, addresses: Array(12).fill(1) })],
    ['too few bytes for its addresses', proxyV2({ family: 0x11, addresses: [192, 0, 2, 1] })],
    ['a second one right behind it', Buffer.concat([proxyV2From('192.0.2.1'), proxyV2From(blocked)])],
  ])('version 2 with %s is refused and closes', async (_what, header) => {
    const session = await mta.connect('smtp', '127.0.0.2');
    session.write(header);
    expect(await session.reply()).toMatch(/^421 4\.3\.2 /);
    await session.untilClosed();
  });

  test.each([
    ['of version 2', proxyV2From('192.0.2.1')],
    ['of version 1', Buffer.from('PROXY TCP4 192.0.2.1 127.0.0.1 1 25\r\n')],
  ])('a second header %s, after one of version 2, changes nothing and closes', async (_what, second) => {
    const session = await mta.connect('smtp', '127.0.0.2');
    session.write(proxyV2From(blocked));
    await session.reply();
    await session.send('EHLO client.example');
    session.write(second);
    session.write('MAIL FROM:<a@b.example>\r\nRCPT TO:<user@example.com>\r\n');
    expect(await session.untilClosed()).not.toMatch(/^250 2\.1\.5/m);
  });

  test('a header of version 2 from anybody else is not believed and closes', async () => {
    const session = await mta.connect('smtp', '127.0.0.1');
    session.write(proxyV2From(blocked));
    session.write('EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<user@example.com>\r\n');
    const said = await session.untilClosed();
    expect(said).not.toMatch(/^(?:250|550)/m);
  });

  test('XCLIENT is no command', async () => {
    const session = await mta.session();
    expect(await session.send('XCLIENT ADDR=192.0.2.1 LOGIN=user@example.com')).toMatch(/^500 /);
  });
});

describe('INTERNALCMD', () => {
  test.each([
    'INTERNALCMD performShutdown',
    'INTERNALCMD key: performShutdown',
    'INTERNALCMD key:undefined performShutdown',
    'INTERNALCMD key:null flushQueue',
  ])('%s from this machine is refused and nothing stops', async (command) => {
    const session = await mta.session();
    expect(await session.send(command)).toMatch(/^501 /);
    expect(await session.send('NOOP')).toMatch(/^250 /);
  });

  test('and from a client that a proxy calls local', async () => {
    const session = await mta.connect('smtp', '127.0.0.2');
    session.write('PROXY TCP4 127.0.0.1 127.0.0.1 1 25\r\n');
    await session.reply();
    expect(await session.send('INTERNALCMD performShutdown')).toMatch(/^501 /);
  });
});

describe('STARTTLS', () => {
  test('commands sent in clear after STARTTLS are forgotten', async () => {
    const session = await mta.session();
    session.write('STARTTLS\r\nMAIL FROM:<injected@evil.example>\r\nRCPT TO:<user@example.com>\r\n');
    expect(await session.reply()).toMatch(/^220 /);
    await session.secure();
    expect(await session.send('RCPT TO:<user@example.com>')).toMatch(/^503 /);
    expect(await session.send('MAIL FROM:<a@b.example>')).toMatch(/^503 /);
  });

  test('is offered once, and a second one within TLS is refused', async () => {
    const session = await mta.connect();
    await session.reply();
    expect(await session.send('EHLO client.example')).toMatch(/STARTTLS/);
    expect(await session.send('STARTTLS')).toMatch(/^220 /);
    await session.secure();
    expect(await session.send('EHLO client.example')).not.toMatch(/STARTTLS/);
    expect(await session.send('STARTTLS')).toMatch(/^503 5\.5\.1 /);
    const replies = await session.mail({ to: ['user@example.com'], data: message({ subject: 'over tls' }) });
    expect(replies.at(-1)).toMatch(/^250 /);
    expect((await mta.mailbox('example.com', 'user')).join()).toContain('with ESMTPS');
  });

  test('a transaction from before STARTTLS is gone after it', async () => {
    const session = await mta.session();
    await session.send('MAIL FROM:<a@b.example>');
    await session.send('STARTTLS');
    await session.secure();
    await session.send('EHLO client.example');
    expect(await session.send('RCPT TO:<user@example.com>')).toMatch(/^503 /);
  });
});

test('a header named __proto__ and a thousand headers are just mail', async () => {
  const session = await mta.session();
  const many = Array.from({ length: 1000 }, (_, i) => `X-${i}: ${i}\r\n`).join('');
  for (const extra of ['__proto__: x\r\nconstructor: y\r\n', many]) {
    const replies = await session.mail({ to: ['user@example.com'], data: `${extra}${message()}` });
    expect(replies.at(-1)).toMatch(/^250 /);
  }
});
