import { generateKeyPairSync } from 'node:crypto';
import { dkimSign, sealMessage } from 'mailauth';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DomainPolicy } from '../../bundle/domain-policy.ts';
import { bundleOf, domainPolicy, gatewayPolicy, list } from '../../policy/fixture.ts';
import { type NameServer, startNameServer } from '../parts/bind.ts';
import { type MtaProcess, startMta } from './mta-process.ts';

// BIND holds the records of the senders; a trusted proxy (us) says which address the mail comes from.

const own = '203.0.113.10';
const stranger = '203.0.113.99';
const friend = '203.0.113.77';
const front = '198.51.100.1';
const heloName = 'mx.mta.example';

const key = generateKeyPairSync('rsa', { modulusLength: 2048 });
const privateKey = key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const record = keyRecord(key.publicKey.export({ type: 'spki', format: 'der' }));

/** A TXT record in strings of at most 255 octets. */
function keyRecord(der: Buffer): string {
  const text = `v=DKIM1; k=rsa; p=${der.toString('base64')}`;
  return (text.match(/.{1,250}/g) ?? []).map((part) => `"${part}"`).join(' ');
}

const nameServer = '@ IN NS ns.invalid.';
const senderZone = (policy: string) => [
  nameServer,
  `@ IN TXT "v=spf1 ip4:${own} -all"`,
  `_dmarc IN TXT "v=DMARC1; p=${policy}"`,
  `k1._domainkey IN TXT ${record}`,
];

let dns: NameServer;
let mta: MtaProcess;
beforeAll(async () => {
  dns = await startNameServer({
    'strict.test': senderZone('reject'),
    'soft.test': senderZone('quarantine'),
    'watching.test': senderZone('none'),
    'list.test': senderZone('none'),
    'flood.test': senderZone('none'),
    'cached.test': senderZone('none'),
    'broken.test': 'broken',
    '.': [nameServer, 'ns.invalid. A 127.0.0.1'],
  });
  const modes = (over: Partial<DomainPolicy['authentication']>, more: Partial<DomainPolicy> = {}) => ({
    authentication: {
      spf: 'Mark',
      dkim: 'Mark',
      dmarc: 'Quarantine',
      trustedArcSealers: [],
      ...over,
    } satisfies DomainPolicy['authentication'],
    access: { allow: ['friends'], block: [] },
    ...more,
  });
  const gateway = gatewayPolicy({ addresses: [front], onlyFromGateway: false });
  mta = await startMta({
    bundle: bundleOf(
      [
        domainPolicy('default.example', modes({}, { maxMessageBytes: 100_000 })),
        domainPolicy('mark.example', modes({ dmarc: 'Mark' })),
        domainPolicy('spf.example', modes({ spf: 'Reject', dmarc: 'Mark' })),
        domainPolicy('dmarc.example', modes({ dmarc: 'Reject', trustedArcSealers: ['list.test'] })),
        domainPolicy('off.example', modes({ spf: 'Disabled', dkim: 'Disabled', dmarc: 'Disabled' })),
        domainPolicy('plain.example', modes({ spf: 'Reject', dmarc: 'Reject' }, { gateway })),
        domainPolicy(
          'told.example',
          modes(
            { spf: 'Reject', dmarc: 'Reject' },
            { gateway: { ...gateway, trustedAuthservId: 'gw.example' } },
          ),
        ),
      ],
      [list('friends', [friend])],
    ),
    args: ['--proxy-from', '127.0.0.1', '--resolver', dns.server],
  });
});
afterAll(async () => {
  await mta?.[Symbol.asyncDispose]();
  await dns?.stop();
});

let subjects = 0;

/** Text of a message with a subject of its own. */
function compose(from: string, head = ''): { subject: string; text: string } {
  subjects += 1;
  const subject = `message ${subjects}`;
  return {
    subject,
    text: `${head}From: <user@${from}>\r\nTo: <a@b.example>\r\nSubject: ${subject}\r\n\r\nHello,\r\n.dots\r\n`,
  };
}

interface Sending {
  readonly to: string;
  readonly from?: string;
  readonly client?: string;
  readonly text?: string;
  readonly head?: string;
}

/** Sends one message. @returns the reply as `550 5.7.26`, or the folder it was filed in, and the mail. */
async function send({ to, from = 'strict.test', client = stranger, head, text }: Sending) {
  const mail =
    text === undefined ? compose(from, head) : { text, subject: /^Subject: (.*)\r$/m.exec(text)?.[1] };
  const session = await mta.proxied(client);
  const replies = await session.mail({
    from: `user@${from}`,
    to: [`user@${to}`],
    // The client stuffs dots.
    data: mail.text.replace(/^\./gm, '..'),
  });
  await session.send('QUIT');
  const reply = replies.at(-1) ?? '';
  if (!reply.startsWith('250')) return { outcome: reply.split(' ').slice(0, 2).join(' '), mail: '', reply };
  for (const folder of [undefined, 'Junk']) {
    const mails = await mta.mailbox(to, 'user', folder);
    const found = mails.find((one) => one.includes(`\nSubject: ${mail.subject}\n`));
    if (found !== undefined) return { outcome: folder ?? 'Inbox', mail: found, reply };
  }
  throw new Error(`${reply}, but the mail is in no folder`);
}

/** Our Authentication-Results on one line. */
function resultsIn(mail: string): string {
  const header = mail.slice(0, mail.indexOf('\n\n')).replace(/\n[ \t]+/g, ' ');
  return header.split('\n').find((line) => line.startsWith(`Authentication-Results: ${heloName};`)) ?? '';
}

async function signed(text: string, signingDomain: string): Promise<string> {
  const signer = { signingDomain, selector: 'k1', privateKey };
  const options = { ...signer, canonicalization: 'relaxed/relaxed', signatureData: [signer] };
  const { signatures } = await dkimSign(text, options);
  return signatures + text;
}

describe('G19: sender authentication', () => {
  test.each([
    ['default.example', 'strict.test', 'Junk'],
    ['default.example', 'soft.test', 'Junk'],
    ['default.example', 'watching.test', 'Inbox'],
    ['default.example', 'unknown.test', 'Inbox'],
    ['default.example', 'broken.test', 'Inbox'],
    ['mark.example', 'strict.test', 'Inbox'],
    ['spf.example', 'strict.test', '550 5.7.23'],
    ['spf.example', 'unknown.test', 'Inbox'],
    ['spf.example', 'broken.test', '451 4.7.0'],
    ['dmarc.example', 'strict.test', '550 5.7.26'],
    ['dmarc.example', 'soft.test', 'Junk'],
    ['dmarc.example', 'watching.test', 'Inbox'],
    ['dmarc.example', 'broken.test', '451 4.7.0'],
    ['off.example', 'strict.test', 'Inbox'],
  ])('%s: mail that only claims to be from %s: %s', async (to, from, outcome) => {
    expect((await send({ to, from })).outcome).toBe(outcome);
  });

  test.each(['default.example', 'spf.example', 'dmarc.example'])(
    '%s: mail from an address of the sender goes to the Inbox',
    async (to) => {
      const { outcome, mail } = await send({ to, client: own });
      expect(outcome).toBe('Inbox');
      expect(resultsIn(mail)).toContain('spf=pass smtp.mailfrom=user@strict.test; dkim=none; dmarc=pass');
    },
  );

  test('a signature of the author is enough for DMARC, wherever the mail comes from', async () => {
    const text = await signed(compose('strict.test').text, 'strict.test');
    const { outcome, mail } = await send({ to: 'dmarc.example', text });
    expect(outcome).toBe('Inbox');
    expect(resultsIn(mail)).toContain(
      'spf=fail smtp.mailfrom=user@strict.test; dkim=pass header.d=strict.test',
    );
  });

  test('a signature of somebody else is not, and a changed message has none', async () => {
    const other = await signed(compose('strict.test').text, 'list.test');
    expect((await send({ to: 'dmarc.example', text: other })).outcome).toBe('550 5.7.26');
    const changed = (await signed(compose('strict.test').text, 'strict.test')).replace('Hello', 'Hallo');
    expect((await send({ to: 'dmarc.example', text: changed })).outcome).toBe('550 5.7.26');
  });

  test('a refusal has a reference', async () => {
    expect((await send({ to: 'dmarc.example' })).reply).toMatch(/ \(ref [0-9A-Z]{8}\)$/);
  });

  test('nothing is asked where all is Disabled', async () => {
    const { mail } = await send({ to: 'off.example', from: 'never-asked.test' });
    expect(mail).not.toContain('Authentication-Results');
    expect((await dns.queries()).filter((query) => query.includes('never-asked.test'))).toEqual([]);
  });

  test('answers of name servers are kept for the next message', async () => {
    for (let i = 0; i < 3; i++) await send({ to: 'default.example', from: 'cached.test', client: own });
    const asked = (await dns.queries()).filter((query) => query === 'cached.test txt');
    expect(asked).toHaveLength(1);
  });

  test('a flood of signatures costs ten questions', async () => {
    const { text } = compose('flood.test');
    const one = (await signed(text, 'flood.test')).slice(0, -text.length);
    // Good body hashes: otherwise no key is worth a question.
    const many = Array.from({ length: 40 }, (_, i) => one.replace('s=k1', `s=s${i}`)).join('');
    const { outcome } = await send({
      to: 'default.example',
      from: 'flood.test',
      client: own,
      text: many + text,
    });
    expect(outcome).toBe('Inbox');
    const asked = new Set((await dns.queries()).filter((query) => query.includes('_domainkey.flood.test')));
    expect(asked.size).toBe(10);
  });
});

test('A6: mail of an allowed client that fails everything goes to the Inbox', async () => {
  for (const to of ['default.example', 'spf.example', 'dmarc.example']) {
    const { outcome, mail } = await send({ to, client: friend });
    expect(outcome).toBe('Inbox');
    expect(mail).toContain('\nX-Spam-Flag: NO\n');
    expect(resultsIn(mail)).toContain('dmarc=fail');
  }
});

describe('D15: Authentication-Results', () => {
  test('one in our name is taken away, ours stands on top, those of others stay', async () => {
    const head = [
      `Authentication-Results: ${heloName}; spf=pass; dmarc=pass (forged 1)`,
      `Authentication-Results: ${heloName.toUpperCase()} 1; spf=pass (forged 2)`,
      `Authentication-Results: "${heloName}";\r\n\tspf=pass (forged 3)`,
      `Authentication-Results:\r\n (x)\r\n\t${heloName}; spf=pass (forged 4)`,
      'Authentication-Results: other.example; spf=pass (theirs)',
      'X-Between: stays\r\n',
    ].join('\r\n');
    const { mail } = await send({ to: 'mark.example', head });
    expect(mail).not.toContain('forged');
    expect(mail).toContain('\nAuthentication-Results: other.example; spf=pass (theirs)\nX-Between: stays\n');
    expect(mail.match(new RegExp(`Authentication-Results: ${heloName}`, 'gi'))).toHaveLength(1);
    expect(mail.indexOf(`Authentication-Results: ${heloName}`)).toBeLessThan(mail.indexOf('\nReceived:'));
    expect(resultsIn(mail)).toContain('spf=fail');
  });

  const via = (text: string) =>
    `Received: from x (unknown [${stranger}])\r\n\tby gw.example with ESMTP\r\n${text}`;
  const good = 'Authentication-Results: gw.example; spf=pass smtp.mailfrom=user@strict.test; dmarc=pass\r\n';
  const bad =
    'Authentication-Results: gw.example; spf=none; dmarc=fail (p=reject) header.from=strict.test\r\n';

  test('without trusted results mail via the gateway goes to Junk at most', async () => {
    const { outcome, mail } = await send({ to: 'plain.example', client: front, head: via(good) });
    expect(outcome).toBe('Junk');
    expect(resultsIn(mail)).toContain('spf=fail');
  });

  test('the topmost of the trusted name stands in for ours, those below are not read', async () => {
    const passed = await send({ to: 'told.example', client: front, head: good + via(bad) });
    expect(passed.outcome).toBe('Inbox');
    expect(resultsIn(passed.mail)).toContain('spf=pass smtp.mailfrom=user@strict.test');
    expect((await send({ to: 'told.example', client: front, head: bad + via(good) })).outcome).toBe(
      '550 5.7.26',
    );
  });

  test('the trusted name is nothing to any other peer', async () => {
    expect((await send({ to: 'told.example', client: stranger, head: good })).outcome).toBe('550 5.7.23');
  });
});

describe('D16: a list that has changed the mail', () => {
  /** What a list makes of a mail from strict.test: a footer, and a seal over the results that it had. */
  async function viaList(sealer: string, dmarc: string): Promise<string> {
    const text = `${compose('strict.test').text}-- \r\na list\r\n`;
    const authResults = `${sealer}; dmarc=${dmarc} header.from=strict.test`;
    const seal = await sealMessage(text, {
      signingDomain: sealer,
      selector: 'k1',
      privateKey,
      authResults,
      cv: 'none',
    });
    return seal.toString() + text;
  }

  test('sealed by a listed sealer that saw DMARC pass: Inbox', async () => {
    const { outcome, mail } = await send({ to: 'dmarc.example', text: await viaList('list.test', 'pass') });
    expect(outcome).toBe('Inbox');
    expect(resultsIn(mail)).toMatch(/dmarc=fail .*arc=pass header\.d=list\.test/);
  });

  test.each([
    ['a listed sealer that saw it fail', 'list.test', 'fail'],
    ['a sealer that is not listed', 'soft.test', 'pass'],
  ])('sealed by %s: 550 5.7.26', async (_, sealer, dmarc) => {
    expect((await send({ to: 'dmarc.example', text: await viaList(sealer, dmarc) })).outcome).toBe(
      '550 5.7.26',
    );
  });

  test('changed after the seal: 550 5.7.26', async () => {
    const text = (await viaList('list.test', 'pass')).replace('a list', 'another');
    expect((await send({ to: 'dmarc.example', text })).outcome).toBe('550 5.7.26');
  });
});
