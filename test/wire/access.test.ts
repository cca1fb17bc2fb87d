import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PolicyBundle } from '../../bundle/policy-bundle.ts';
import { bundleOf, domainPolicy, list } from '../../policy/fixture.ts';
import { eventually } from './eventually.ts';
import { filesOfManifests } from './manifest-policy.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { message } from './smtp-client.ts';

const one = 'one.example';
const two = 'two.example';

/** Two domains with lists of their own, one list that both use, and one domain without any. */
function bundle(extra: string[] = []): PolicyBundle {
  const lists = [
    list('allow-one', ['192.0.2.7', '198.51.100.0/24', '2001:db8:a::/48', ...extra].toSorted()),
    list('block-one', ['192.0.2.0/24', '198.51.100.9', '203.0.113.5', '2001:db8::/32'].toSorted()),
    list('block-two', ['203.0.113.6']),
    list('everywhere', ['203.0.113.100']),
  ];
  return bundleOf(
    [
      domainPolicy(one, { access: { allow: ['allow-one'], block: ['block-one', 'everywhere'] } }),
      domainPolicy('sub.one.example'),
      domainPolicy(two, { access: { allow: [], block: ['block-two', 'everywhere'] } }),
    ],
    lists,
  );
}

let mta: MtaProcess;
beforeAll(async () => {
  mta = await startMta({ bundle: bundle(), args: ['--proxy-from', '127.0.0.1'] });
});
afterAll(() => mta[Symbol.asyncDispose]());

/** The answers that a client with this address gets for these recipients, without sending anything. */
async function answers(client: string, ...recipients: string[]): Promise<string[]> {
  const session = await mta.proxied(client);
  await session.send('MAIL FROM:<sender@elsewhere.example>');
  const replies: string[] = [];
  for (const recipient of recipients)
    replies.push((await session.send(`RCPT TO:<${recipient}>`)).slice(0, 9));
  await session.send('QUIT');
  return replies;
}

test.each([
  ['an allowed address inside a blocked range', '192.0.2.7', '250'],
  ['an allowed range over a blocked address', '198.51.100.9', '250'],
  ['the blocked range beside the allowed address', '192.0.2.8', '550'],
  ['an allowed IPv6 range inside a blocked one', '2001:db8:a::1', '250'],
  ['a blocked IPv6 range', '2001:db8:b::1', '550'],
  ['an address in no list', '198.18.0.1', '250'],
])('A10, B4: allow wins over block: %s', async (_what, client, code) => {
  const [reply] = await answers(client, `user@${one}`);
  expect(reply?.slice(0, 3)).toBe(code);
});

test('A6: an allowed client still gets 550 5.1.1 for an unknown recipient and never relays', async () => {
  expect(await answers('192.0.2.7', `nobody@${one}`, 'x@foreign.example')).toEqual([
    '550 5.1.1',
    '550 5.7.1',
  ]);
});

test('A8: 500 messages from an allowed address are all accepted', async () => {
  const session = await mta.proxied('192.0.2.7');
  for (let sent = 0; sent < 500; sent += 1) {
    const replies = await session.mail({ to: [`sales@${one}`] });
    expect(replies.map((reply) => reply.slice(0, 3))).toEqual(['250', '250', '250']);
  }
  expect(await mta.mailbox(one, 'sales')).toHaveLength(500);
});

test.each([
  ['as the IPv4-mapped form of a blocked address', '::ffff:203.0.113.5', '550'],
  ['as the IPv4-mapped form in hex of a blocked address', '::ffff:cb00:7105', '550'],
  ['as the IPv4-mapped form of an allowed address', '::ffff:192.0.2.7', '250'],
  ['in full IPv6 spelling of a blocked range', '2001:0DB8:0000:0000:0000:0000:0000:0001', '550'],
])('A11: a PROXY TCP6 client %s', async (_what, client, code) => {
  const [reply] = await answers(client, `user@${one}`);
  expect(reply?.slice(0, 3)).toBe(code);
});

test.each(['010.0.0.1', '203.0.113.05', '3405803781'])(
  'A3: the spelling %s is no client address',
  async (client) => {
    const session = await mta.connect();
    session.write(`PROXY TCP4 ${client} 127.0.0.1 40000 25\r\n`);
    expect(await session.reply()).toMatch(/^421 /);
    await session.untilClosed();
  },
);

test('B3: mail from a blocked address is refused with 550 5.7.1 at RCPT and nothing is filed', async () => {
  const session = await mta.proxied('203.0.113.5');
  const replies = await session.mail({ to: [`info@${one}`] });
  expect(replies[1]).toMatch(/^550 5\.7\.1 .*\(ref [0-9A-Z]{8}\)$/);
  expect(await session.send('DATA')).toMatch(/^503 /);
  expect(await mta.mailbox(one, 'info')).toEqual([]);
});

test('B7: every refusal is kept with the object, its generation and the entry that decided', async () => {
  const session = await mta.proxied('192.0.2.99');
  const [, reply = ''] = await session.mail({ to: [`user@${one}`] });
  const ref = /\(ref ([0-9A-Z]{8})\)$/.exec(reply)?.[1];
  const blocks: unknown = await (await mta.get('/blocks')).json();
  expect(blocks).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        ref,
        peer: '192.0.2.99',
        because: { kind: 'IpAccessList', name: 'block-one', generation: 2, entry: '192.0.2.0/24' },
      }),
    ]),
  );
});

test('G2, B1: recipients of several domains in one session are judged each by its own domain', async () => {
  expect(await answers('203.0.113.5', `user@${one}`, `user@${two}`, 'user@sub.one.example')).toEqual([
    '550 5.7.1',
    '250 2.1.5',
    '250 2.1.5',
  ]);
  expect(await answers('203.0.113.6', `user@${one}`, `user@${two}`)).toEqual(['250 2.1.5', '550 5.7.1']);
  expect(await answers('203.0.113.100', `user@${one}`, `user@${two}`, 'user@sub.one.example')).toEqual([
    '550 5.7.1',
    '550 5.7.1',
    '250 2.1.5',
  ]);
});

test('G2: a message for an accepted and a refused domain goes to the accepted one only', async () => {
  const session = await mta.proxied('203.0.113.6');
  const replies = await session.mail({
    to: [`info@${two}`, `info@${one}`],
    data: message({ subject: 'two domains' }),
  });
  expect(replies.map((reply) => reply.slice(0, 3))).toEqual(['250', '550', '250', '250']);
  expect(await mta.mailbox(two, 'info')).toEqual([]);
  expect((await mta.mailbox(one, 'info')).at(-1)).toContain('Subject: two domains');
});

test('A1, B8: a changed list acts on the next recipient of an open session', async () => {
  const session = await mta.proxied('203.0.113.5');
  await session.send('MAIL FROM:<sender@elsewhere.example>');
  expect(await session.send(`RCPT TO:<user@${one}>`)).toMatch(/^550 /);
  await mta.loadPolicy(bundle(['203.0.113.5']));
  expect(await session.send(`RCPT TO:<user@${one}>`)).toMatch(/^250 /);
  await mta.loadPolicy(bundle());
  expect(await session.send(`RCPT TO:<user@${one}>`)).toMatch(/^550 /);
});

test('B5: an entry stops acting when its time has come, without a new policy', async () => {
  let until = 0;
  let before: readonly string[] = [];
  // On a busy machine the entry may have ended before anybody could ask.
  for (let seconds = 2; Date.now() / 1000 >= until; seconds *= 2) {
    until = Math.floor(Date.now() / 1000) + seconds;
    const lists = [list('short', ['192.0.2.50'], { '192.0.2.50': until })];
    await mta.loadPolicy(bundleOf([domainPolicy(one, { access: { allow: [], block: ['short'] } })], lists));
    before = await answers('192.0.2.50', `user@${one}`);
  }
  expect(before).toEqual(['550 5.7.1']);
  await eventually(
    async () => (await answers('192.0.2.50', `user@${one}`))[0] === '250 2.1.5',
    'the entry expires',
  );
  expect(Math.floor(Date.now() / 1000)).toBeGreaterThanOrEqual(until);
});

test('A2, B1: 10,000 allowed and 10,000 blocked entries, loaded through the shards', async () => {
  const entries = (net: number) => {
    const all: string[] = [];
    for (let i = 0; i < 10_000; i += 1) all.push(`${net}.${i >> 8}.${i & 255}.1`);
    return all.toSorted();
  };
  const lists = [list('allow', [...entries(11), '12.0.0.1'].toSorted()), list('block', entries(12))];
  await mta.loadPolicy(
    bundleOf([domainPolicy(one, { access: { allow: ['allow'], block: ['block'] } })], lists),
  );
  expect(await answers('12.39.15.1', `user@${one}`)).toEqual(['550 5.7.1']);
  expect(await answers('12.39.16.1', `user@${one}`)).toEqual(['250 2.1.5']);
  expect(await answers('12.0.0.1', `user@${one}`)).toEqual(['250 2.1.5']);
  expect(await answers('11.39.15.1', `user@${one}`)).toEqual(['250 2.1.5']);
});

test('B2, A3, A4: ranges in every spelling and separator block exactly their addresses', async () => {
  const manifests = `
kind: MailDomain
metadata: {name: spelled}
spec: {domain: spelled.example, mailbox: {maildir: {}}, recipients: {mode: List, addresses: [user]}, authentication: {spf: Disabled, dkim: Disabled, dmarc: Disabled}}
---
kind: IpAccessList
metadata: {name: spelled}
spec:
  action: Block
  domainRefs: [{name: spelled}]
  addresses: [192.0.2.1]
  entries: [{address: 198.51.100.0/28, note: a note}]
  text: |
    203.0.113.10-203.0.113.20, 203.0.113.64/30 ::ffff:203.0.113.99  # from the old firewall
    2001:db8:5::/48
`;
  await mta.loadFiles(filesOfManifests(manifests));
  const inside = [
    '192.0.2.1',
    '198.51.100.0',
    '198.51.100.15',
    '203.0.113.10',
    '203.0.113.20',
    '203.0.113.67',
  ];
  const outside = [
    '192.0.2.2',
    '198.51.100.16',
    '203.0.113.9',
    '203.0.113.21',
    '203.0.113.68',
    '2001:db8:6::1',
  ];
  for (const client of [...inside, '203.0.113.99', '2001:db8:5:ffff::1'])
    expect(await answers(client, 'user@spelled.example'), client).toEqual(['550 5.7.1']);
  for (const client of outside)
    expect(await answers(client, 'user@spelled.example'), client).toEqual(['250 2.1.5']);
});

test('G2, G11: an internationalised domain is its A-label, and a domain below another one is its own', async () => {
  const idn = 'xn--bcher-kva.example';
  const [parent, child] = [
    domainPolicy(idn),
    domainPolicy(`mail.${idn}`, { access: { allow: [], block: ['all'] } }),
  ];
  await mta.loadPolicy(bundleOf([parent, child], [list('all', ['203.0.113.5'])]));
  const session = await mta.proxied('203.0.113.5');
  await session.send('MAIL FROM:<sender@elsewhere.example>');
  expect(await session.send(`RCPT TO:<user@${idn.toUpperCase()}>`)).toMatch(/^250 /);
  const utf8 = Buffer.from('user@bücher.example').toString('latin1');
  expect(await session.send(`RCPT TO:<${utf8}>`)).toMatch(/^553 5\.6\.7 /);
  expect(await session.send(`RCPT TO:<user@mail.${idn}>`)).toMatch(/^550 5\.7\.1 /);
  expect(await session.send(`RCPT TO:<user@other.${idn}>`)).toMatch(/^550 5\.7\.1 /);
});
