import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleOf, domainPolicy, recipients } from '../../policy/fixture.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { message } from './smtp-client.ts';

let mta: MtaProcess;
beforeAll(async () => {
  mta = await startMta({
    bundle: bundleOf([
      domainPolicy('example.com', { maxMessageBytes: 20_000 }),
      domainPolicy('broken.example', { recipients: recipients([], { available: false }) }),
    ]),
    settings: { maxMessageBytes: 1_048_576 },
  });
});
afterAll(() => mta[Symbol.asyncDispose]());

test.each([
  ['another domain', 'x@foreign.example'],
  ['an address literal', 'user@[127.0.0.1]'],
  ['the percent hack', 'x%foreign.example@example.com'],
  ['a bang path', 'foreign.example!x@example.com'],
  ['a quoted @', '"x@foreign.example"@example.com'],
  ['a source route to another domain', '@example.com:x@foreign.example'],
  ['a source route to our own user', '@relay.example:user@example.com'],
  ['a two-hop source route', '@example.com,@relay.example:user@example.com'],
  ['a quoted percent', '"x%foreign.example"@example.com'],
  ['a second @', 'user@foreign.example@example.com'],
  ['a subdomain that is not hosted', 'user@sub.example.com'],
  ['the hosted name as a prefix', 'user@example.com.foreign.example'],
  ['the hosted name as a suffix', 'user@notexample.com'],
  ['no domain', 'user'],
  ['a NUL', 'user\0@example.com'],
  ['a bare CR', 'user\r@example.com'],
  ['an escaped quote', '"us\\"er"@example.com'],
])('G13: never an open relay: %s is refused for good', async (_what, recipient) => {
  const session = await mta.session();
  await session.send('MAIL FROM:<sender@elsewhere.example>');
  expect(await session.send(`RCPT TO:<${recipient}>`)).toMatch(/^5\d\d /);
  expect(await session.send('DATA')).toMatch(/^503 /);
  expect(await mta.queued()).toEqual([]);
});

test('G13: the sender being one of ours, or local, opens no relay', async () => {
  for (const from of ['user@example.com', '', 'postmaster@example.com']) {
    const session = await mta.session();
    const [, reply] = await session.mail({ from, to: ['x@foreign.example'] });
    expect(reply).toMatch(/^550 5\.7\.1 /);
  }
});

test('G13: spellings of our own user are taken as that user', async () => {
  const session = await mta.session();
  const to = ['USER@EXAMPLE.COM', '"user"@example.com'];
  const replies = await session.mail({ to, data: message({ subject: 'spelling' }) });
  expect(replies.map((reply) => reply.slice(0, 3))).toEqual(['250', '250', '250', '250']);
  const mails = await mta.mailbox('example.com', 'user');
  expect(mails.filter((mail) => mail.includes('Subject: spelling'))).not.toEqual([]);
});

test('I9: known recipients are accepted without regard to case, unknown ones get 550 5.1.1', async () => {
  const session = await mta.session();
  const replies = await session.mail({ to: ['Info@example.com', 'nobody@example.com'] });
  expect(replies.map((reply) => reply.slice(0, 9))).toEqual([
    expect.any(String),
    '250 2.1.5',
    '550 5.1.1',
    '250 2.0.0',
  ]);
});

test('I9: recipients that cannot be read make 451, never 550', async () => {
  const session = await mta.session();
  const [, reply] = await session.mail({ to: ['user@broken.example'] });
  expect(reply).toMatch(/^451 4\.3\.0 /);
});

test('I12: a subaddress is known as its user and lies in that mailbox', async () => {
  const session = await mta.session();
  const replies = await session.mail({ to: ['sales+tag@example.com', 'nobody+tag@example.com'] });
  expect(replies.map((reply) => reply.slice(0, 3))).toEqual(['250', '250', '550', '250']);
  expect(await mta.mailbox('example.com', 'sales')).toHaveLength(1);
});

test('I15: the eleventh unknown recipient of a connection ends it with 421 4.7.0', async () => {
  const session = await mta.session();
  await session.send('MAIL FROM:<sender@elsewhere.example>');
  for (let i = 1; i <= 10; i += 1)
    expect(await session.send(`RCPT TO:<no${i}@example.com>`)).toMatch(/^550 5\.1\.1 /);
  expect(await session.send('RCPT TO:<no11@example.com>')).toMatch(/^421 4\.7\.0 /);
  await session.untilClosed();
});

test('G11: EHLO offers SIZE, 8BITMIME and PIPELINING, and neither SMTPUTF8 nor DSN', async () => {
  const session = await mta.connect();
  await session.reply();
  const keywords = (await session.send('EHLO client.example')).split('\n').map((line) => line.slice(4));
  expect(keywords).toEqual(
    expect.arrayContaining(['PIPELINING', '8BITMIME', 'SIZE 1048576', 'ENHANCEDSTATUSCODES']),
  );
  expect(keywords.join(' ')).not.toMatch(/SMTPUTF8|DSN|AUTH|STARTTLS/);
});

test.each([
  ['MAIL FROM:<a@b.example> RET=HDRS', '555 5.5.4'],
  ['MAIL FROM:<a@b.example> SMTPUTF8', '555 5.5.4'],
  ['MAIL FROM:<a@b.example> ENVID=x', '555 5.5.4'],
  ['MAIL FROM:<a@b.example> BODY=8BITMIME SIZE=100', '250'],
])('G11: %s is answered %s', async (command, answer) => {
  const session = await mta.session();
  expect(await session.send(command)).toMatch(new RegExp(`^${answer.replaceAll('.', '\\.')} `));
});

test('G11: NOTIFY is answered 555 5.5.4, a local part beyond ASCII 553 5.6.7', async () => {
  const session = await mta.session();
  await session.send('MAIL FROM:<a@b.example>');
  expect(await session.send('RCPT TO:<user@example.com> NOTIFY=NEVER')).toMatch(/^555 5\.5\.4 /);
  expect(await session.send(`RCPT TO:<${Buffer.from('üser@example.com').toString('latin1')}>`)).toMatch(
    /^553 5\.6\.7 /,
  );
});

test('G12: a size that is too large is refused with 552 5.3.4 at MAIL and at the end of the data', async () => {
  const session = await mta.session();
  expect(await session.send('MAIL FROM:<a@b.example> SIZE=1048577')).toMatch(/^552 5\.3\.4 /);
  const body = `${'x'.repeat(998)}\r\n`;
  const ofDomain = await session.mail({ to: ['user@example.com'], data: message({ body: body.repeat(25) }) });
  expect(ofDomain.at(-1)).toMatch(/^552 5\.3\.4 .*\(ref /);
  const ofMta = await session.mail({ to: ['user@example.com'], data: message({ body: body.repeat(1100) }) });
  expect(ofMta.at(-1)).toMatch(/^552 5\.3\.4 /);
  expect(await session.send('NOOP')).toMatch(/^250/);
});

test('D12: a message without a valid From is refused with 550 5.7.1', async () => {
  const session = await mta.session();
  for (const data of [
    'Subject: none\r\n\r\ntext\r\n',
    'From: foo\r\n\r\ntext\r\n',
    'From: <a@b.example>\r\nFrom: <c@d.example>\r\n\r\ntext\r\n',
  ]) {
    const replies = await session.mail({ to: ['user@example.com'], data });
    expect(replies.at(-1)).toMatch(/^550 5\.7\.1 .*\(ref /);
  }
});

test('logs stay one line each, whatever a client sends', async () => {
  const session = await mta.connect();
  await session.reply();
  await session.send('EHLO x\x1b[31m{"level":"fake"}');
  await session.mail({ from: '"a\\\nb"@elsewhere.example', to: ['user@example.com'] });
  await session.mail({
    from: 'a{"x":1}@elsewhere.example',
    to: ['"{\\"level\\":\\"fake\\"}"@example.com', 'user@example.com'],
  });
  await session.send('QUIT');
  const json = mta.lines.filter((line) => line.startsWith('{'));
  for (const line of json) expect(JSON.parse(line)).toHaveProperty('level');
  expect(mta.logged(({ level }) => level === 'fake')).toEqual([]);
});

describe('B7: what Haraka alone would refuse, in words of its own,', () => {
  test.each([
    ['MAIL', 'a bare word', 'author', '553 5.1.7'],
    ['MAIL', 'two @', 'a@b@c.example', '553 5.1.7'],
    ['MAIL', 'a source route', '@a.example:b@c.example', '553 5.1.7'],
    ['MAIL', 'an open quote', '"a@c.example', '553 5.1.7'],
    ['MAIL', 'a bare CR', 'a\rb@c.example', '553 5.1.7'],
    ['MAIL', 'a line separator of Unicode', Buffer.from('a\u2028@c.example').toString('latin1'), '553 5.6.7'],
    ['RCPT', 'nothing', '', '553 5.1.3'],
    ['RCPT', 'no domain', 'user@', '553 5.1.3'],
    ['RCPT', 'text behind the bracket', 'user@example.com>x', '553 5.1.3'],
    ['RCPT', 'a bare CR', 'us\rer@example.com', '553 5.1.3'],
    ['RCPT', 'an empty label', 'user@example..com', '553 5.1.3'],
    ['RCPT', 'a path that is too long', `${'x'.repeat(600)}@example.com`, '553 5.1.3'],
  ])(
    '%s with %s: the policy refuses it, with a reference and without its text',
    async (verb, _what, path, code) => {
      const session = await mta.session();
      if (verb === 'RCPT') await session.send('MAIL FROM:<sender@elsewhere.example>');
      const reply = await session.send(verb === 'MAIL' ? `MAIL FROM:<${path}>` : `RCPT TO:<${path}>`);
      expect(reply).toMatch(new RegExp(`^${code.replaceAll('.', '\\.')} .*\\(ref [0-9A-Z]{8}\\)$`));
      if (path.length > 4) expect(reply).not.toContain(path.slice(0, 20));
      expect(await session.send('NOOP')).toMatch(/^250 /);
    },
  );

  test.each([
    'MAIL',
    'MAIL <a@b.example>',
    'MAIL FROM:',
    'MAIL TO:<a@b.example>',
    'RCPT FROM:<user@example.com>',
  ])('%s is answered 501 5.5.4 with a reference', async (command) => {
    const session = await mta.session();
    if (command.startsWith('RCPT')) await session.send('MAIL FROM:<sender@elsewhere.example>');
    expect(await session.send(command)).toMatch(/^501 5\.5\.4 .*\(ref [0-9A-Z]{8}\)$/);
  });

  test('MAIL and RCPT still come in their order', async () => {
    const session = await mta.session();
    expect(await session.send('RCPT TO:<user@example.com>')).toMatch(/^503 /);
    expect(await session.send('MAIL FROM:<sender@elsewhere.example>')).toBe('250 2.1.0 Sender OK');
    const early = await mta.connect();
    await early.reply();
    expect(await early.send('MAIL FROM:<sender@elsewhere.example>')).toMatch(/^503 /);
  });

  test('G11: a parameter that nobody knows is answered 555 5.5.4 with a reference', async () => {
    const session = await mta.session();
    for (const command of ['MAIL FROM:<a@b.example> X=1', 'MAIL FROM:<a@b.example> SIZE=x'])
      expect(await session.send(command)).toMatch(/^555 5\.5\.4 .*\(ref [0-9A-Z]{8}\)$/);
  });
});

test('G13: what the policy takes is carried: a trailing dot, long local parts, senders with odd names', async () => {
  const session = await mta.session();
  const tag = 'x'.repeat(100);
  const from = `bounce-${'y'.repeat(70)}@list_1.elsewhere.example.`;
  const to = ['user@example.com.', `info+${tag}@example.com`];
  const replies = await session.mail({ from, to, data: message({ subject: 'carried' }) });
  expect(replies.map((reply) => reply.slice(0, 3))).toEqual(['250', '250', '250', '250']);
  const [mail] = (await mta.mailbox('example.com', 'info')).filter((text) =>
    text.includes('Subject: carried'),
  );
  expect(mail).toContain(`Return-Path: <bounce-${'y'.repeat(70)}@list_1.elsewhere.example>\n`);
  expect(mail).toContain(`Delivered-To: info+${tag}@example.com\n`);
});
