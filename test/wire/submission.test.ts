import { scryptSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Account, SecretBundle } from '../../bundle/policy-bundle.ts';
import { bundleOf, domainPolicy, list } from '../../policy/fixture.ts';
import { makeCertificate } from './certificate.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { noSecrets } from './policy-files.ts';
import { message, type SmtpClient } from './smtp-client.ts';

function hash(password: string): string {
  const key = scryptSync(password, 'salt', 32, { N: 1024, r: 8, p: 1 });
  return `scrypt$1024$8$1$${Buffer.from('salt').toString('base64url')}$${key.toString('base64url')}`;
}

const account = (over: Partial<Account>): Account => ({
  name: 'user@example.com',
  kind: 'User',
  hashes: [],
  sendAs: [],
  ...over,
});
const secrets: SecretBundle = {
  ...noSecrets,
  accounts: {
    'example.com': [
      account({
        hashes: [
          { hash: hash('open-sesame') },
          { hash: hash('mellon-two') },
          { hash: hash('old'), expires: 1_000_000 },
        ],
      }),
      account({ name: 'sales@example.com', hashes: [{ hash: 'scrypt$1073741824$8$1$c2FsdA$a2V5' }] }),
    ],
    'off.example': [account({ name: 'user@off.example', hashes: [{ hash: hash('open-sesame') }] })],
  },
};
const blockUs = { allow: [], block: ['here'] };
const bundle = bundleOf(
  [
    domainPolicy('example.com', { access: blockUs }),
    domainPolicy('off.example', { submission: { enabled: false, accounts: true, recipientsPerHour: 10 } }),
  ],
  [list('here', ['127.0.0.1'])],
);

let mta: MtaProcess;
beforeAll(async () => {
  mta = await startMta({
    bundle,
    secrets,
    certificate: await makeCertificate(),
    args: ['--submission', '127.0.0.1:0', '--submissions', '127.0.0.1:0'],
  });
});
afterAll(() => mta[Symbol.asyncDispose]());

const base64 = (text: string) => Buffer.from(text).toString('base64');
const plain = (name: string, password: string) => `AUTH PLAIN ${base64(`\0${name}\0${password}`)}`;

async function secured(): Promise<SmtpClient> {
  const session = await mta.session('submission');
  expect(await session.send('STARTTLS')).toMatch(/^220 /);
  await session.secure();
  expect(await session.send('EHLO client.example')).toMatch(/^250[ -]AUTH PLAIN LOGIN$/m);
  return session;
}

test('B6: AUTH from a blocked address is accepted, and so is its mail; without AUTH the same client is blocked', async () => {
  const stranger = await mta.session();
  expect((await stranger.mail({ to: ['info@example.com'] }))[1]).toMatch(/^550 5\.7\.1 /);
  const session = await secured();
  expect(await session.send(plain('user@example.com', 'open-sesame'))).toMatch(/^235 2\.7\.0 /);
  const data = message({ from: 'user@example.com', subject: 'from inside' });
  const replies = await session.mail({ from: 'user@example.com', to: ['info@example.com'], data });
  expect(replies.map((reply) => reply.slice(0, 3))).toEqual(['250', '250', '250']);
  expect((await mta.mailbox('example.com', 'info')).join()).toContain('from inside');
});

test('P2: port 465: TLS from the first byte, then AUTH', async () => {
  const session = await mta.connect('submissions');
  await session.secure();
  expect(await session.reply()).toMatch(/^220 /);
  expect(await session.send('EHLO client.example')).toMatch(/^250[ -]AUTH PLAIN LOGIN$/m);
  expect(await session.send(plain('USER@example.com', 'mellon-two'))).toMatch(/^235 /);
});

describe('P2: AUTH', () => {
  test('is neither offered nor taken in clear, on 587 or on 25', async () => {
    const submission = await mta.connect('submission');
    await submission.reply();
    expect(await submission.send('EHLO client.example')).not.toMatch(/AUTH/);
    expect(await submission.send(plain('user@example.com', 'open-sesame'))).toMatch(/^538 5\.7\.11 /);
    const smtp = await mta.session();
    await smtp.send('STARTTLS');
    await smtp.secure();
    expect(await smtp.send('EHLO client.example')).not.toMatch(/AUTH/);
    expect(await smtp.send(plain('user@example.com', 'open-sesame'))).toMatch(/^5\d\d /);
  });

  test('is asked for before any mail on a submission port', async () => {
    const session = await secured();
    expect(await session.send('MAIL FROM:<user@example.com>')).toMatch(/^530 5\.7\.0 .*\(ref [0-9A-Z]{8}\)$/);
  });

  test('LOGIN and PLAIN with a separate response work, and a star cancels', async () => {
    const login = await secured();
    expect(await login.send('AUTH LOGIN')).toBe(`334 ${base64('Username:')}`);
    expect(await login.send(base64('user@example.com'))).toBe(`334 ${base64('Password:')}`);
    expect(await login.send(base64('mellon-two'))).toMatch(/^235 /);
    expect(await login.send(plain('user@example.com', 'open-sesame'))).toMatch(/^503 /);
    const other = await secured();
    expect(await other.send('AUTH PLAIN')).toMatch(/^334 /);
    expect(await other.send('*')).toMatch(/^501 /);
    expect(await other.send('AUTH CRAM-MD5')).toMatch(/^504 /);
    expect(await other.send('AUTH PLAIN !!!')).toMatch(/^501 /);
    expect(await other.send('AUTH PLAIN')).toMatch(/^334 /);
    expect(await other.send(base64('\0user@example.com\0open-sesame'))).toMatch(/^235 /);
  });

  test('acts for nobody else', async () => {
    const session = await secured();
    const asOther = base64('sales@example.com\0user@example.com\0open-sesame');
    expect(await session.send(`AUTH PLAIN ${asOther}`)).toMatch(/^501 /);
  });
});

test.each([
  ['a wrong password', 'user@example.com', 'third'],
  ['an empty password', 'user@example.com', ''],
  ['P3: an expired password', 'user@example.com', 'old'],
  ['an account that does not exist', 'nobody@example.com', 'open-sesame'],
  ['P1: a domain whose submission is off', 'user@off.example', 'open-sesame'],
  ['a hash that asks for a terabyte', 'sales@example.com', 'open-sesame'],
  ['a name from the prototype', '__proto__', 'open-sesame'],
])('%s is refused with 535 5.7.8', async (_what, name, password) => {
  const session = await secured();
  expect(await session.send(plain(name, password))).toMatch(/^535 5\.7\.8 /);
  expect(await session.send('MAIL FROM:<user@example.com>')).toMatch(/^530 /);
});

test('P1: an account that is taken out of the Secret cannot sign in any more', async () => {
  await mta.loadPolicy(bundle, { ...secrets, accounts: {} });
  expect(await (await secured()).send(plain('user@example.com', 'open-sesame'))).toMatch(/^535 /);
  await mta.loadPolicy(bundle, secrets);
  expect(await (await secured()).send(plain('user@example.com', 'open-sesame'))).toMatch(/^235 /);
});

test('P1: switching submission off acts within one reload, on open sessions too', async () => {
  const before = await secured();
  expect(await before.send(plain('user@example.com', 'open-sesame'))).toMatch(/^235 /);
  const off = { enabled: false, accounts: true, recipientsPerHour: 10 };
  const domains = bundle.domains.map((one) =>
    one.domain === 'example.com' ? { ...one, submission: off } : one,
  );
  await mta.loadPolicy({ ...bundle, domains }, secrets);
  expect(await (await secured()).send(plain('user@example.com', 'open-sesame'))).toMatch(/^535 5\.7\.8 /);
  expect(await before.send('MAIL FROM:<user@example.com>')).toMatch(/^535 5\.7\.8 /);
  await mta.loadPolicy(bundle, secrets);
});

test('P3: of two passwords one is revoked, and the other works on', async () => {
  const [first, ...rest] = secrets.accounts['example.com'] ?? [];
  if (first === undefined) throw new Error('no account');
  const revoked = { ...first, hashes: first.hashes.slice(1) };
  await mta.loadPolicy(bundle, { ...secrets, accounts: { 'example.com': [revoked, ...rest] } });
  expect(await (await secured()).send(plain('user@example.com', 'open-sesame'))).toMatch(/^535 /);
  expect(await (await secured()).send(plain('user@example.com', 'mellon-two'))).toMatch(/^235 /);
  await mta.loadPolicy(bundle, secrets);
});

test.each([
  ['the From of another user', 'user@example.com', 'From: <boss@example.com>\r\n', /^550 5\.7\.1 /],
  [
    'two From headers',
    'user@example.com',
    'From: <user@example.com>\r\nFrom: <user@example.com>\r\n',
    /^550 5\.7\.1 /,
  ],
  [
    'a second address in From',
    'user@example.com',
    'From: user@example.com, boss@example.com\r\n',
    /^550 5\.7\.1 /,
  ],
  ['a null sender and an owned From', '', 'From: <user@example.com>\r\n', /^250 /],
  ['a null sender and the From of another', '', 'From: <boss@example.com>\r\n', /^550 5\.7\.1 /],
])('P5: %s', async (_what, from, header, reply) => {
  const session = await secured();
  await session.send(plain('user@example.com', 'open-sesame'));
  const replies = await session.mail({ from, to: ['info@example.com'], data: `${header}\r\ntext\r\n` });
  expect(replies.at(-1)).toMatch(reply);
});

test('P8: the fifth failed AUTH ends the connection with 421 4.7.0', async () => {
  const session = await secured();
  for (let i = 1; i < 5; i += 1)
    expect(await session.send(plain('user@example.com', `${i}`))).toMatch(/^535 /);
  expect(await session.send(plain('user@example.com', '5'))).toMatch(/^421 4\.7\.0 /);
  await session.untilClosed();
  // Nobody can lock an account by guessing: it is the connection that has an end.
  const other = await secured();
  for (let i = 1; i < 5; i += 1) await other.send(plain('user@example.com', `${i}`));
  expect(await other.send(plain('user@example.com', 'open-sesame'))).toMatch(/^235 /);
});

test('P5: an account sends as itself only', async () => {
  const session = await secured();
  await session.send(plain('user@example.com', 'open-sesame'));
  expect(await session.send('MAIL FROM:<boss@example.com>')).toMatch(/^553 5\.7\.1 /);
});

test('no password reaches the log', async () => {
  expect(mta.lines.join('\n')).not.toMatch(/open-sesame|mellon-two|b3Blbi1zZXNhbWU|bWVsbG9uLXR3bw/);
});
