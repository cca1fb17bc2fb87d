import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DomainPolicy } from '../../bundle/domain-policy.ts';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import {
  bundleOf,
  domainPolicy,
  filterPolicy,
  gatewayPolicy,
  list,
  recipients,
} from '../../policy/fixture.ts';
import { type Dovecot, startDovecot } from '../parts/dovecot.ts';
import { type Rspamd, startRspamd } from '../parts/rspamd.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';

// A real rspamd judges, a real Dovecot files by LMTP, and what is in its folders is read over IMAP.

const gtube = 'XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X';
const stranger = '203.0.113.99';
const friend = '203.0.113.77';
const front = '198.51.100.1';

let rspamd: Rspamd;
let dovecot: Dovecot;
let mta: MtaProcess;
beforeAll(async () => {
  rspamd = await startRspamd();
  dovecot = await startDovecot(['user@header.test', 'user@sub.test', 'bulk@header.test']);
  const mailbox: DomainPolicy['mailbox'] = { kind: 'Route', route: 'store' };
  const access = { allow: ['friends'], block: [] };
  const contentFilter = filterPolicy({ rspamdUrl: rspamd.url, virusSymbols: ['TEST_VIRUS'] });
  const { junk } = domainPolicy('x.test');
  const subaddress: DomainPolicy['junk'] = { ...junk, method: 'Subaddress' };
  const store: RoutePolicy = {
    name: 'store',
    source: { kind: 'Route', name: 'store', generation: 1 },
    host: dovecot.host,
    port: dovecot.lmtpPort,
    protocol: 'LMTP',
    lookupMx: false,
    tls: { mode: 'Disabled', verify: 'None' },
    authenticated: false,
    connection: { maxConcurrent: 10, timeoutSeconds: 20 },
  };
  const nobody = { ...contentFilter, rspamdUrl: 'http://127.0.0.1:9' };
  mta = await startMta({
    bundle: {
      ...bundleOf(
        [
          domainPolicy('header.test', {
            mailbox,
            access,
            contentFilter,
            recipients: recipients(['bulk', 'user']),
          }),
          domainPolicy('sub.test', { mailbox, access, contentFilter, junk: subaddress }),
          domainPolicy('maildir.test', { access, contentFilter }),
          domainPolicy('reject.test', {
            access,
            contentFilter: { ...contentFilter, rejectAction: 'Reject' },
          }),
          domainPolicy('accept.test', { contentFilter: nobody }),
          domainPolicy('defer.test', { contentFilter: { ...nobody, onFailure: 'Defer' } }),
          domainPolicy('none.test'),
          domainPolicy('gated.test', {
            access,
            contentFilter,
            gateway: gatewayPolicy({
              addresses: [front],
              onlyFromGateway: false,
              skipContentFilter: true,
              junkPatterns: ['^X-Gateway: spam$'],
            }),
          }),
        ],
        [list('friends', [friend])],
      ),
      routes: [store],
    },
    args: ['--proxy-from', '127.0.0.1'],
  });
});
afterAll(async () => {
  await mta?.[Symbol.asyncDispose]();
  await Promise.all([rspamd?.stop(), dovecot?.stop()]);
});

let subjects = 0;

interface Sending {
  readonly to: string;
  readonly client?: string;
  readonly word?: string;
  readonly head?: string;
  readonly body?: string;
}

/** @returns the subject, to find the message by, and the reply to the end of DATA. */
async function send({ to, client = stranger, word = '', head = '', body = 'text' }: Sending) {
  subjects += 1;
  const subject = `message ${subjects}. ${word}`.trim();
  const session = await mta.proxied(client);
  const data = `${head}From: <sender@elsewhere.example>\r\nSubject: ${subject}\r\n\r\n${body}\r\n`;
  const replies = await session.mail({ to: [to], data });
  await session.send('QUIT');
  return { subject, reply: replies.at(-1) ?? '' };
}

/** Waits until the message is in a folder of the Dovecot. */
async function delivered(user: string, subject: string): Promise<{ folder: string; mail: string }> {
  let found: { folder: string; mail: string } | undefined;
  await eventually(async () => {
    for (const folder of ['INBOX', 'Junk']) {
      const mail = (await dovecot.messages(user, folder)).find((one) =>
        one.includes(`Subject: ${subject}\r\n`),
      );
      if (mail !== undefined) found = { folder, mail };
    }
    return found !== undefined;
  }, `${subject} is in a folder of ${user}`);
  if (found === undefined) throw new Error('not found');
  return found;
}

describe.each(['user@header.test', 'user@sub.test'])('G17, G18: a mailbox on Dovecot: %s', (user) => {
  test.each([
    ['an honest message', {}, 'INBOX'],
    ['what rspamd calls spam', { word: '[spam]' }, 'Junk'],
    ['GTUBE, which rspamd rejects', { body: gtube }, 'Junk'],
    ['a forged Junk marker', { head: 'X-Spam-Flag: YES\r\nx-spam-status: Yes\r\n' }, 'INBOX'],
  ])('%s', async (_, sending, folder) => {
    const { subject, reply } = await send({ to: user, ...sending });
    expect(reply).toMatch(/^250 /);
    const found = await delivered(user, subject);
    expect(found.folder).toBe(folder);
    expect(found.mail).not.toContain('x-spam-status');
  });

  test.each([
    ['A6', 'GTUBE', { body: gtube }],
    ['A7', 'a forged X-Spam-Flag: YES', { head: 'X-Spam-Flag: YES\r\n' }],
  ])('%s: %s from an allowed address: Inbox, without a spam marker', async (_id, _what, sending) => {
    const { subject, reply } = await send({ to: user, client: friend, ...sending });
    expect(reply).toMatch(/^250 /);
    const { folder, mail } = await delivered(user, subject);
    expect(folder).toBe('INBOX');
    expect(mail).not.toMatch(/X-Spam-Flag: YES/i);
  });
});

test('G18: by header the marker says it either way, by subaddress there is none', async () => {
  const spam = await send({ to: 'user@header.test', word: '[spam]' });
  expect((await delivered('user@header.test', spam.subject)).mail).toContain('\r\nX-Spam-Flag: YES\r\n');
  const ham = await send({ to: 'user@header.test' });
  expect((await delivered('user@header.test', ham.subject)).mail).toContain('\r\nX-Spam-Flag: NO\r\n');
  const sub = await send({ to: 'user+tag@sub.test', word: '[spam]' });
  const { folder, mail } = await delivered('user@sub.test', sub.subject);
  expect([folder, /X-Spam-Flag/i.test(mail)]).toEqual(['Junk', false]);
});

test('G18: a Maildir of our own has a folder for spam', async () => {
  const { subject } = await send({ to: 'user@maildir.test', word: '[spam]' });
  const mails = await mta.mailbox('maildir.test', 'user', 'Junk');
  expect(mails.filter((mail) => mail.includes(subject))).toHaveLength(1);
  expect(await mta.mailbox('maildir.test', 'user')).toEqual([]);
});

describe('G17: the content filter', () => {
  test.each([
    ['reject.test', stranger, { body: gtube }, /^550 5\.7\.1 .*\(ref [0-9A-Z]{8}\)$/],
    ['maildir.test', stranger, { word: '[later]' }, /^451 4\.7\.1 .*\(ref [0-9A-Z]{8}\)$/],
    ['maildir.test', stranger, { word: '[virus]' }, /^550 5\.7\.1 /],
    ['maildir.test', friend, { word: '[virus]' }, /^550 5\.7\.1 /],
    ['maildir.test', friend, { word: '[later]' }, /^250 /],
    ['accept.test', stranger, {}, /^250 /],
    ['defer.test', stranger, {}, /^451 4\.7\.1 /],
    ['none.test', stranger, { body: gtube }, /^250 /],
  ])('%s, from %s, %j: %s', async (domain, client, sending, expected) => {
    expect((await send({ to: `user@${domain}`, client, ...sending })).reply).toMatch(expected);
  });

  test('two recipients whose filters differ come in two messages', async () => {
    const session = await mta.proxied(stranger);
    const replies = await session.mail({ to: ['user@maildir.test', 'user@reject.test', 'user@header.test'] });
    expect(replies.slice(1).map((reply) => reply.slice(0, 9))).toEqual([
      '250 2.1.5',
      '452 4.5.3',
      '250 2.1.5',
      '250 2.0.0',
    ]);
  });
});

describe('D10: a gateway that filters spam itself', () => {
  const received = `Received: from x (x [${stranger}]) by gw.example; Wed, 25 Nov 2026 12:00:00 +0000\r\n`;
  const folderOf = async (subject: string) => {
    const has = (mails: string[]) => mails.some((mail) => mail.includes(`Subject: ${subject}\n`));
    return [undefined, 'Junk'].map(async (folder) => has(await mta.mailbox('gated.test', 'user', folder)));
  };

  test.each([
    ['GTUBE via the gateway: Inbox', front, { body: gtube }, [true, false]],
    ['what rspamd calls spam: Inbox', front, { word: '[spam]' }, [true, false]],
    [
      'a line that a junk pattern of the gateway matches: Junk',
      front,
      { head: 'X-Gateway: spam\r\n' },
      [false, true],
    ],
    ['GTUBE from another peer: Junk', stranger, { body: gtube }, [false, true]],
  ])('%s', async (_what, client, { head = '', ...sending }: Partial<Sending>, expected) => {
    const { subject, reply } = await send({
      to: 'user@gated.test',
      client,
      ...sending,
      head: `${received}${head}`,
    });
    expect(reply).toMatch(/^250 /);
    expect(await Promise.all(await folderOf(subject))).toEqual(expected);
  });

  test('a virus is refused all the same', async () => {
    const { reply } = await send({ to: 'user@gated.test', client: front, head: received, word: '[virus]' });
    expect(reply).toMatch(/^550 5\.7\.1 .*\(ref [0-9A-Z]{8}\)$/);
  });
});

test('A8: 500 messages of an allowed address: no refusal, all in the Inbox', async () => {
  const perSession = 50;
  const sendMany = async () => {
    const session = await mta.proxied(friend);
    for (let i = 0; i < perSession; i++) {
      const data = `From: <a@b.example>\r\nSubject: training ${i} [spam]\r\n\r\n${gtube}\r\n`;
      const replies = await session.mail({ to: ['bulk@header.test'], data });
      expect(replies.filter((reply) => !reply.startsWith('250'))).toEqual([]);
    }
    await session.send('QUIT');
  };
  await Promise.all(Array.from({ length: 10 }, sendMany));
  await eventually(
    async () => (await dovecot.messages('bulk@header.test', 'INBOX')).length === 500,
    'all 500 are in the Inbox',
    50_000,
  );
  expect(await dovecot.messages('bulk@header.test', 'Junk')).toEqual([]);
});
