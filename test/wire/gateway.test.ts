import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DomainPolicy, GatewayPolicy } from '../../bundle/domain-policy.ts';
import type { PolicyBundle } from '../../bundle/policy-bundle.ts';
import { bundleOf, domainPolicy, gatewayPolicy, list } from '../../policy/fixture.ts';
import { type MtaProcess, startMta } from './mta-process.ts';

// A trusted proxy (us) says who connects: the gateway at 198.51.100.1 with a second hop at .2, or somebody else.

const domain = 'behind.example';
const front = '198.51.100.1';
const second = '198.51.100.2';
const good = '203.0.113.7';
const bad = '192.0.2.66';
const stranger = '203.0.113.99';
const lists = [list('good', [good]), list('bad', ['192.0.2.0/24']), list('front', [front])];

let mta: MtaProcess;
beforeAll(async () => {
  mta = await startMta({ bundle: bundle(), args: ['--proxy-from', '127.0.0.1'] });
});
afterAll(() => mta[Symbol.asyncDispose]());

function bundle(
  gateway: Partial<GatewayPolicy> = {},
  over: Partial<DomainPolicy> = {},
  others: DomainPolicy[] = [],
): PolicyBundle {
  const own = gatewayPolicy({ addresses: [front, second], ...gateway });
  const domains = [
    domainPolicy(domain, { access: { allow: ['good'], block: ['bad'] }, gateway: own, ...over }),
  ];
  return bundleOf([...domains, ...others], lists);
}

/** What a hop writes above a message that this address has given it; the EHLO literal is what the client claims to be. */
function received(address: string, claim = good): string {
  return `Received: from [${claim}] (unknown [${address}])\r\n\tby hop.example (Postfix) with ESMTP id 4F1;\r\n\tWed, 25 Nov 2026 12:00:00 +0000\r\n`;
}

/** Sends a message and returns the replies to the recipients and to the end of DATA, as `250 2.1.5`. */
async function send(
  client: string,
  {
    to = [`user@${domain}`],
    head = '',
    subject = 'hello',
  }: { to?: string[]; head?: string; subject?: string } = {},
): Promise<string[]> {
  const session = await mta.proxied(client);
  const data = `${head}From: <sender@elsewhere.example>\r\nSubject: ${subject}\r\n\r\ntext\r\n`;
  const replies = await session.mail({ to, data });
  await session.send('QUIT');
  return replies.slice(1).map((reply) => reply.slice(0, 9));
}

const taken = ['250 2.1.5', '250 2.0.0'];
const refusedAtEnd = ['250 2.1.5', '550 5.7.1'];
const refusedAtRcpt = ['550 5.7.1'];

describe('with the gateway in use', () => {
  beforeEach(() => mta.loadPolicy(bundle()));

  test('D7: mail is taken from the gateway and from an allowed address, and from nobody else', async () => {
    expect(await send(stranger)).toEqual(refusedAtRcpt);
    expect(await send(front, { head: received(stranger) })).toEqual(taken);
    expect(await send(second, { head: received(stranger) })).toEqual(taken);
    expect(await send(good)).toEqual(taken);
  });

  test('D11, D13, B3: a blocked original client is refused at the end of DATA, by the entry that holds it', async () => {
    expect(await send(front, { head: received(bad), to: [`info@${domain}`] })).toEqual(refusedAtEnd);
    expect(await mta.mailbox(domain, 'info')).toEqual([]);
    const blocks: unknown = await (await mta.get('/blocks')).json();
    expect(blocks).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          peer: front,
          because: { kind: 'IpAccessList', name: 'bad', generation: 2, entry: '192.0.2.0/24' },
        }),
      ]),
    );
  });

  test.each([
    ['three internal hops', [front, second, '127.0.0.1', bad], refusedAtEnd],
    ['forged lines below the client', [bad, second, good], refusedAtEnd],
    ['a forged blocked line below a stranger', [stranger, bad], taken],
    ['a second hop that is not registered', ['198.51.100.3', bad], taken],
  ])('D4, D13: %s', async (_what, hops, replies) => {
    expect(await send(front, { head: hops.map((address) => received(address)).join('') })).toEqual(replies);
  });

  test('D13: an EHLO literal is never read, neither for nor against the client', async () => {
    expect(await send(front, { head: received(bad, good) })).toEqual(refusedAtEnd);
    expect(await send(front, { head: received(stranger, bad) })).toEqual(taken);
    expect(await send(front, { head: `Received: from [${bad}] by hop.example; now\r\n` })).toEqual(taken);
  });

  test('D13: Received lines of mail that comes another way decide nothing', async () => {
    await mta.loadPolicy(bundle({ onlyFromGateway: false }));
    expect(await send(stranger, { head: received(bad) })).toEqual(taken);
    expect(await send(bad, { head: received(good) })).toEqual(refusedAtRcpt);
  });

  test.each([
    ['an empty From', 'From:'],
    ['a From that is no address', 'From: foo'],
  ])('D12: %s is refused at the end of DATA, via the gateway too', async (_what, line) => {
    const session = await mta.proxied(front);
    const replies = await session.mail({
      to: [`user@${domain}`],
      data: `${received(stranger)}${line}\r\nSubject: x\r\n\r\ntext\r\n`,
    });
    expect(replies.at(-1)).toMatch(/^550 5\.7\.1 .*\(ref [0-9A-Z]{8}\)$/);
  });
});

test('A12: an entry over the gateway itself cancels a block of it and opens nothing else', async () => {
  const access = { allow: ['front'], block: ['bad', 'front'] };
  await mta.loadPolicy(bundle({}, { access }));
  expect(await send(front, { head: received(stranger) })).toEqual(taken);
  expect(await send(front, { head: received(bad) })).toEqual(refusedAtEnd);
});

test('D1: a domain whose gateway is suspended (no gateway in the bundle) takes mail as without one', async () => {
  await mta.loadPolicy(
    bundleOf([domainPolicy(domain, { access: { allow: ['good'], block: ['bad'] } })], lists),
  );
  expect(await send(stranger, { head: received(bad) })).toEqual(taken);
  expect(await send(bad)).toEqual(refusedAtRcpt);
});

describe('G8: two domains with gateways in one session', () => {
  const other = 'other.example';
  const both = [`user@${domain}`, `user@${other}`];
  const withOther = (gateway: Partial<GatewayPolicy>) =>
    bundle({}, {}, [
      domainPolicy(other, {
        access: { allow: ['good'], block: ['bad'] },
        gateway: gatewayPolicy({ addresses: [front, second], ...gateway }),
      }),
    ]);

  test('different gateways: the second recipient comes again in a message of its own', async () => {
    await mta.loadPolicy(withOther({ addresses: [front] }));
    const head = received(second) + received(bad);
    expect(await send(front, { to: both, head })).toEqual(['250 2.1.5', '452 4.5.3', '550 5.7.1']);
    // For the other domain the second hop is a stranger: its line names the client.
    expect(await send(front, { to: [`user@${other}`], head })).toEqual(taken);
    expect(await send(second, { to: both, head })).toEqual(['250 2.1.5', '550 5.7.1', '550 5.7.1']);
  });

  test('the same gateway, other patterns: one message', async () => {
    await mta.loadPolicy(withOther({ junkPatterns: ['spam'] }));
    expect(await send(front, { to: both, head: received(stranger) })).toEqual(['250 2.1.5', ...taken]);
  });
});

describe('D9: junk patterns', () => {
  const verdict = 'X-Gateway: this is\r\n spam\r\n';
  const marked = /^X-Spam-Flag: YES\r?$/m;
  const unmarked = /^X-Spam-Flag: NO\r?$/m;

  async function delivered(client: string, head: string, subject: string): Promise<string> {
    expect(await send(client, { head, subject })).toEqual(taken);
    const mails = [...(await mta.mailbox(domain, 'user')), ...(await junkFolder())];
    return mails.find((mail) => mail.includes(`Subject: ${subject}`)) ?? '';
  }

  async function junkFolder(): Promise<string[]> {
    const folder = join(mta.directory, 'mail', domain, 'user', 'Maildir', '.Junk', 'new');
    const names = await readdir(folder).catch(() => []);
    return Promise.all(names.map((name) => readFile(join(folder, name), 'latin1')));
  }

  beforeEach(() =>
    mta.loadPolicy(
      bundle(
        { junkPatterns: ['^X-Gateway: .* spam$', '(a+)+$'], onlyFromGateway: false },
        { maxMessageBytes: 100_000 },
      ),
    ),
  );

  test('a folded header line that matches goes to Junk, one that does not to the Inbox', async () => {
    expect(await delivered(front, received(stranger) + verdict, 'hit')).toMatch(marked);
    expect(await junkFolder()).toHaveLength(1);
    expect(await delivered(front, `${received(stranger)}X-Gateway: no\r\n`, 'miss')).toMatch(unmarked);
  });

  test('the same header from another peer goes to the Inbox', async () => {
    expect(await delivered(stranger, verdict, 'direct')).toMatch(unmarked);
  });

  test('A6, A7: an allowed original client is never marked', async () => {
    expect(await delivered(front, received(good) + verdict, 'allowed')).toMatch(unmarked);
  });

  test('a pattern and a header made to stall do not hold up another session', async () => {
    const trap = `X-Trap: ${'a'.repeat(900)}!\r\n`.repeat(60);
    const [slow, quick] = await Promise.all([
      send(front, { head: received(stranger) + trap }),
      send(stranger),
    ]);
    expect([slow, quick]).toEqual([taken, taken]);
  });
});

test('G15: a gateway in Audit refuses nothing and counts what it would refuse', async () => {
  const enforced = domainPolicy(domain, { access: { allow: ['good'], block: ['bad'] } });
  const audited = { ...enforced, gateway: gatewayPolicy({ addresses: [front, second] }) };
  const corpus: [client: string, head: string][] = [
    [stranger, ''],
    [front, received(bad)],
    [front, received(stranger)],
    [good, ''],
  ];
  const run = async () => {
    const replies = [];
    for (const [client, head] of corpus) replies.push((await send(client, { head })).at(-1) ?? '');
    return replies;
  };

  await mta.loadPolicy(bundleOf([audited], lists));
  const refused = (await run()).filter((reply) => reply.startsWith('550')).length;
  expect(refused).toBe(2);

  await mta.loadPolicy(bundleOf([enforced], lists, [audited]));
  const before = await auditedCount();
  expect(await run()).toEqual(corpus.map(() => '250 2.0.0'));
  expect((await auditedCount()) - before).toBe(refused);
});

async function auditedCount(): Promise<number> {
  const text = await (await mta.get('/metrics')).text();
  const counts = [...text.matchAll(/^postern_mta_audited_total\{.*\} (\d+)$/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}
