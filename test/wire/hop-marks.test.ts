import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DomainPolicy, GatewayPolicy } from '../../bundle/domain-policy.ts';
import type { PolicyBundle, SecretBundle } from '../../bundle/policy-bundle.ts';
import { bundleOf, domainPolicy, gatewayPolicy, list, rule } from '../../policy/fixture.ts';
import { accountOf, signIn } from './account.ts';
import { makeCertificate } from './certificate.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { noSecrets } from './policy-files.ts';
import { route } from './route.ts';
import { type Sink, startSink } from './sink.ts';

// Two pods of one tenant: mail leaves by the first and comes back to the second. The sink is the server behind the Route, and
// what it has taken is handed back by hand, from whatever address the test is about.

const domain = 'loop.example';
const front = '198.51.100.1';
const stranger = '203.0.113.99';
const blocked = '192.0.2.66';
const key = 'k'.repeat(43);
const secrets: SecretBundle = {
  ...noSecrets,
  hopKey: key,
  accounts: {
    [domain]: [
      accountOf(`user@${domain}`),
      accountOf(`dlp@${domain}`, { kind: 'Relay', sendAs: [`*@${domain}`], fromRoute: 'filter' }),
    ],
  },
};

let sink: Sink;
let first: MtaProcess;
let second: MtaProcess;

function bundle(over: Partial<DomainPolicy> = {}, gateway?: Partial<GatewayPolicy>): PolicyBundle {
  const own = domainPolicy(domain, {
    access: { allow: [], block: ['bad'] },
    ...(gateway && {
      gateway: gatewayPolicy({ addresses: [front], onlyFromGateway: false, route: 'filter', ...gateway }),
    }),
    ...over,
  });
  const routes = [route('filter', sink.port), route('other', sink.port)];
  return { ...bundleOf([own], [list('bad', ['192.0.2.0/24'])]), routes };
}

beforeAll(async () => {
  sink = await startSink();
  const certificate = await makeCertificate();
  const args = ['--submission', '127.0.0.1:0', '--proxy-from', '127.0.0.1'];
  [first, second] = await Promise.all([
    startMta({ bundle: bundle(), secrets, certificate, args }),
    startMta({ bundle: bundle(), secrets, certificate, args }),
  ]);
});
afterAll(async () => {
  await Promise.all([first[Symbol.asyncDispose](), second[Symbol.asyncDispose]()]);
  await sink[Symbol.asyncDispose]();
});
beforeEach(() => {
  sink.mails.length = 0;
});

async function load(over: Partial<DomainPolicy> = {}, gateway?: Partial<GatewayPolicy>): Promise<void> {
  const policy = bundle(over, gateway);
  await Promise.all([first.loadPolicy(policy, secrets), second.loadPolicy(policy, secrets)]);
}

/** What the server behind the Route has taken; its header is as it came. */
async function sunk(subject: string): Promise<{ from: string; to: string; data: string }> {
  const find = () => sink.mails.find(({ data }) => data.includes(`Subject: ${subject}\r\n`));
  await eventually(() => find() !== undefined, `the Route has ${subject}`);
  const mail = find();
  return { from: mail?.from ?? '', to: mail?.to[0] ?? '', data: mail?.data ?? '' };
}

interface HandOver {
  readonly from?: string;
  readonly to?: string;
  readonly data: string;
}

/** Gives mail to the second pod as if it came from this address. @returns the reply to the end of DATA, `250 2.0.0`. */
async function handBack(client: string, { from = `user@${domain}`, to = `info@${domain}`, data }: HandOver) {
  const session = await second.proxied(client);
  const replies = await session.mail({ from, to: [to], data: `${received(stranger)}${data}` });
  await session.send('QUIT');
  return (replies.at(-1) ?? '').slice(0, 9);
}

function received(address: string): string {
  return `Received: from client.example (unknown [${address}])\r\n\tby hop.example (Postfix) with ESMTP id 4F1;\r\n\tWed, 25 Nov 2026 12:00:00 +0000\r\n`;
}

function mail(subject: string, over: { from?: string; id?: string } = {}): string {
  const { from = `user@${domain}`, id = `<${subject}@client.example>` } = over;
  return `From: <${from}>\r\nMessage-ID: ${id}\r\nSubject: ${subject}\r\n\r\ntext\r\n`;
}

async function submit(subject: string, to = `info@${domain}`): Promise<string> {
  const session = await signIn(first, `user@${domain}`);
  const replies = await session.mail({ from: `user@${domain}`, to: [to], data: mail(subject) });
  return (replies.at(-1) ?? '').slice(0, 9);
}

async function receive(subject: string, to = `info@${domain}`): Promise<string> {
  const session = await first.proxied(stranger);
  const data = mail(subject, { from: 'a@elsewhere.example' });
  const replies = await session.mail({ from: 'a@elsewhere.example', to: [to], data });
  return (replies.at(-1) ?? '').slice(0, 9);
}

async function inMailbox(subject: string, user = 'info'): Promise<string[]> {
  const boxes = await Promise.all([first, second].map((mta) => mta.mailbox(domain, user)));
  return boxes.flat().filter((text) => text.includes(`Subject: ${subject}\n`));
}

describe('D8: internal mail through the gateway', () => {
  beforeEach(() => load({}, { internalMailViaGateway: true }));

  test('goes to the gateway, comes back to another pod, and lies in the mailbox once, without its marks', async () => {
    expect(await submit('once')).toBe('250 2.0.0');
    const passed = await sunk('once');
    expect(passed).toMatchObject({ from: `user@${domain}`, to: `info@${domain}` });
    expect(await inMailbox('once')).toEqual([]);

    expect(await handBack(front, passed)).toBe('250 2.0.0');
    const [copy, ...others] = await inMailbox('once');
    expect(others).toEqual([]);
    expect(copy).not.toMatch(/^X-Postern-/im);
    expect(sink.mails).toHaveLength(1);
  });

  test('External mail does not take the way through the gateway', async () => {
    expect(await receive('outside')).toBe('250 2.0.0');
    expect(await inMailbox('outside')).toHaveLength(1);
    expect(sink.mails).toEqual([]);
  });

  test('is not judged by the address lists when it comes back', async () => {
    await submit('lists');
    const passed = await sunk('lists');
    const viaBlocked = { ...passed, data: `${received(blocked)}${passed.data}` };
    const forged = viaBlocked.data.replace(/^X-Postern-Internal:.*\r\n/m, '');
    expect(forged).not.toBe(viaBlocked.data);
    const session = await second.proxied(front);
    const send = async (data: string) =>
      ((await session.mail({ from: passed.from, to: [passed.to], data })).at(-1) ?? '').slice(0, 9);
    expect(await send(forged)).toBe('550 5.7.1');
    expect(await send(viaBlocked.data)).toBe('250 2.0.0');
  });

  describe('nobody forges or replays the mark', () => {
    const rules = [rule({ match: 'Internal', route: 'other' })];
    const atOther = () => sink.mails.length;

    test.each<[string, (passed: HandOver & { data: string }) => [client: string, mail: HandOver]]>([
      ['from a peer that is no registered hop', (passed) => [stranger, passed]],
      ['for another recipient', (passed) => [front, { ...passed, to: `sales@${domain}` }]],
      ['for another sender', (passed) => [front, { ...passed, from: `sales@${domain}` }]],
      [
        'on another message',
        (passed) => [
          front,
          { ...passed, data: passed.data.replace(/^Message-ID:.*$/im, 'Message-ID: <x@y>') },
        ],
      ],
      [
        'with a From header of somebody else',
        (passed) => [
          front,
          { ...passed, data: passed.data.replace(/^From:.*$/m, 'From: <boss@bank.example>') },
        ],
      ],
      [
        'with its time prolonged',
        (passed) => [
          front,
          { ...passed, data: passed.data.replace(/(X-Postern-Internal: )\d/, (_, name) => `${name}9`) },
        ],
      ],
      [
        'made up',
        (passed) => [
          front,
          {
            ...passed,
            data: passed.data.replace(
              /X-Postern-Internal: .*\r\n/,
              'X-Postern-Internal: 9999999999.AAAAAAAAAAAAAAAAAAAAAA\r\n',
            ),
          },
        ],
      ],
    ])('%s: it is External', async (what, change) => {
      const subject = what.replaceAll(' ', '-');
      await load({ inboundRouting: rules }, { internalMailViaGateway: true });
      await submit(subject);
      const passed = await sunk(subject);
      const before = atOther();
      // The rule for Internal mail does not see it: it goes to the mailbox, as External mail does.
      const [client, handed] = change(passed);
      expect(await handBack(client, handed)).toBe('250 2.0.0');
      const user = handed.to?.startsWith('sales') ? 'sales' : 'info';
      await eventually(async () => (await inMailbox(subject, user)).length === 1, 'it is in the mailbox');
      expect(atOther()).toBe(before);
      // The true one, handed back by the gateway, is Internal: its rule takes it.
      expect(await handBack(front, passed)).toBe('250 2.0.0');
      await eventually(() => atOther() === before + 1, 'the rule for Internal mail took it');
    });
  });

  test('a recipient that only a rule for Internal mail takes is accepted on the way back, and not without the mark', async () => {
    await load(
      { inboundRouting: [rule({ match: 'Internal', target: 'Unknown', route: 'other' })] },
      { internalMailViaGateway: true },
    );
    expect(await submit('new-hire', `new@${domain}`)).toBe('250 2.0.0');
    const passed = await sunk('new-hire');
    expect(await handBack(front, passed)).toBe('250 2.0.0');
    await eventually(() => sink.mails.length === 2, 'the rule for Internal mail took it');
    const bare = { ...passed, data: passed.data.replace(/^X-Postern-Internal:.*\r\n/m, '') };
    expect(await handBack(front, bare)).toBe('550 5.1.1');
    expect(await handBack(stranger, passed)).toBe('550 5.1.1');
  });

  test('waits while there is no key to mark it with', async () => {
    const policy = bundle({}, { internalMailViaGateway: true });
    const { hopKey: _, ...keyless } = secrets;
    await first.loadPolicy(policy, keyless);
    expect(await submit('keyless')).toBe('451 4.3.0');
    expect(sink.mails).toEqual([]);
  });
});

describe('G10: a Route that leads back', () => {
  const routed = { inboundRouting: [rule({ route: 'filter' })] };

  test('the first return is a loop: 554 5.4.6 with a reference', async () => {
    await load(routed);
    expect(await receive('round')).toBe('250 2.0.0');
    const passed = await sunk('round');
    expect(await handBack(stranger, passed)).toBe('554 5.4.6');
    expect(await inMailbox('round')).toEqual([]);
  });

  test('what the registered gateway hands back skips the Route', async () => {
    await load(routed, {});
    expect(await receive('filtered')).toBe('250 2.0.0');
    const passed = await sunk('filtered');
    expect(await handBack(front, passed)).toBe('250 2.0.0');
    expect(await inMailbox('filtered')).toHaveLength(1);
    expect(sink.mails).toHaveLength(1);
  });

  test('what the fromRoute account of the Route hands back skips it', async () => {
    await load({ inboundRouting: [rule({ match: 'Internal', route: 'filter' })] });
    expect(await submit('dlp')).toBe('250 2.0.0');
    const passed = await sunk('dlp');
    const back = await signIn(second, `dlp@${domain}`);
    const replies = await back.mail({ from: passed.from, to: [passed.to], data: passed.data });
    expect(replies.at(-1)).toMatch(/^250 /);
    expect(await inMailbox('dlp')).toHaveLength(1);
    expect(sink.mails).toHaveLength(1);
    const other = await signIn(second, `user@${domain}`);
    const loop = await other.mail({ from: passed.from, to: [passed.to], data: passed.data });
    expect(loop.at(-1)).toMatch(/^554 5\.4\.6 .*\(ref [0-9A-Z]{8}\)$/);
  });

  test('the mark counts for its recipient and its Route only', async () => {
    await load(routed);
    await receive('sideways');
    const passed = await sunk('sideways');
    expect(await handBack(stranger, { ...passed, to: `sales@${domain}` })).toBe('250 2.0.0');
    await load({ inboundRouting: [rule({ route: 'other' })] });
    expect(await handBack(stranger, passed)).toBe('250 2.0.0');
    await eventually(() => sink.mails.length === 3, 'the other Route has it');
    // It has been at both now, and the copy says so.
    const twice = sink.mails.at(-1)?.data ?? '';
    expect(twice.match(/^X-Postern-Hop:/gim)).toHaveLength(2);
    await load(routed);
    expect(await handBack(stranger, { ...passed, data: twice })).toBe('554 5.4.6');
  });

  test('a mailbox that leads back is a loop, too', async () => {
    await load({ mailbox: { kind: 'Route', route: 'filter' } });
    expect(await receive('store')).toBe('250 2.0.0');
    expect(await handBack(stranger, await sunk('store'))).toBe('554 5.4.6');
  });

  test('a forged mark is ignored, and is not carried on', async () => {
    await load(routed);
    const forged = `X-Postern-Hop: ${'A'.repeat(22)}.${'B'.repeat(22)}\r\nX-Postern-Hop: nonsense\r\n`;
    expect(await handBack(stranger, { data: `${forged}${mail('forged')}` })).toBe('250 2.0.0');
    const { data } = await sunk('forged');
    expect(data.match(/^X-Postern-Hop:/gim)).toHaveLength(1);
    expect(data).not.toContain('AAAAAAAA');
  });

  test('more than five of our own Received lines are a loop without any mark', async () => {
    await load();
    const own = 'Received: from x by mx.mta.example; Wed, 25 Nov 2026 12:00:00 +0000\r\n';
    expect(await handBack(stranger, { data: `${own.repeat(5)}${mail('five')}` })).toBe('250 2.0.0');
    expect(await handBack(stranger, { data: `${own.repeat(6)}${mail('six')}` })).toBe('554 5.4.6');
  });

  test('neither log, state nor metrics hold the key', async () => {
    const shown = [...first.lines, ...second.lines, JSON.stringify(await first.state())];
    expect(shown.join('\n')).not.toContain(key.slice(0, 20));
    expect(await (await first.get('/metrics')).text()).not.toContain(key.slice(0, 20));
  });
});
