import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DomainPolicy, InboundRule } from '../../bundle/domain-policy.ts';
import type { SecretBundle } from '../../bundle/policy-bundle.ts';
import type { MtaState } from '../../bundle/state.ts';
import { bundleOf, domainPolicy, gatewayPolicy, list, recipients, rule } from '../../policy/fixture.ts';
import { accountOf, signIn } from './account.ts';
import { makeCertificate } from './certificate.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { noSecrets } from './policy-files.ts';
import { route } from './route.ts';
import { type Sink, startSink } from './sink.ts';

// Four servers, one behind the Route of each pair of match and target, and a fifth that is the mailbox over LMTP.

const domain = 'routed.example';
const stranger = '203.0.113.99';
const blocked = '192.0.2.66';
const names = ['internal-known', 'internal-unknown', 'external-known', 'external-unknown'] as const;
const rules: InboundRule[] = [
  rule({ match: 'Internal', target: 'Known', route: 'internal-known' }),
  rule({ match: 'Internal', target: 'Unknown', route: 'internal-unknown' }),
  rule({ match: 'External', target: 'Known', route: 'external-known' }),
  rule({ match: 'External', target: 'Unknown', route: 'external-unknown' }),
];
const secrets: SecretBundle = {
  ...noSecrets,
  accounts: {
    [domain]: [accountOf(`user@${domain}`, { sendAs: ['other@elsewhere.example'] })],
    'neighbour.example': [accountOf('user@neighbour.example')],
  },
};

let mta: MtaProcess;
const sinks = new Map<string, Sink>();

beforeAll(async () => {
  for (const name of names) sinks.set(name, await startSink());
  sinks.set('mailbox', await startSink({ lmtp: true }));
  mta = await startMta({
    bundle: bundle({}),
    secrets,
    certificate: await makeCertificate(),
    args: ['--submission', '127.0.0.1:0', '--proxy-from', '127.0.0.1'],
  });
});
afterAll(async () => {
  await mta[Symbol.asyncDispose]();
  for (const sink of sinks.values()) await sink[Symbol.asyncDispose]();
});
beforeEach(() => {
  for (const sink of sinks.values()) {
    sink.mails.length = 0;
    sink.behaviour = {};
  }
});

function bundle(over: Partial<DomainPolicy>) {
  const own = domainPolicy(domain, {
    mailbox: { kind: 'Route', route: 'mailbox' },
    access: { allow: [], block: ['bad'] },
    ...over,
  });
  const routes = [...sinks].map(([name, { port }]) =>
    route(name, port, name === 'mailbox' ? { protocol: 'LMTP' } : {}),
  );
  const domains = [own, domainPolicy('neighbour.example')];
  return { ...bundleOf(domains, [list('bad', ['192.0.2.0/24'])]), routes: [...routes, route('down', 9)] };
}

const load = (over: Partial<DomainPolicy>) => mta.loadPolicy(bundle(over), secrets);

function sinkOf(name: string): Sink {
  const sink = sinks.get(name);
  if (sink === undefined) throw new Error(`no server ${name}`);
  return sink;
}

/** Where the mail of a subject has arrived, as `server recipient`, once the queue is empty. */
async function arrived(subject: string): Promise<string[]> {
  await eventually(async () => (await mta.queued()).length === 0, 'the queue is empty');
  return [...sinks]
    .flatMap(([name, { mails }]) =>
      mails
        .filter(({ data }) => data.includes(`Subject: ${subject}\r\n`))
        .map(({ to }) => `${name} ${to.join()}`),
    )
    .sort();
}

const mail = (subject: string, from: string) => `From: <${from}>\r\nSubject: ${subject}\r\n\r\ntext\r\n`;

/** Replies to the recipients and the end of DATA, `250 2.1.5`. */
async function receive(
  subject: string,
  to: readonly string[],
  over: { from?: string; client?: string; header?: string } = {},
): Promise<string[]> {
  const { from = 'a@elsewhere.example', client = stranger, header = from } = over;
  const session = await mta.proxied(client);
  const replies = await session.mail({ from, to, data: mail(subject, header) });
  await session.send('QUIT');
  return replies.slice(1).map((reply) => reply.slice(0, 9));
}

async function submit(
  subject: string,
  to: readonly string[],
  over: { account?: string; from?: string; header?: string } = {},
): Promise<string[]> {
  const { account = `user@${domain}`, from = account, header = from } = over;
  const session = await signIn(mta, account);
  const replies = await session.mail({ from, to, data: mail(subject, header) });
  await session.send('QUIT');
  return replies.slice(1).map((reply) => reply.slice(0, 9));
}

const taken = ['250 2.1.5', '250 2.0.0'];
const known = `info@${domain}`;
const unknown = `new@${domain}`;

describe('each pair of match and target has its own Route', () => {
  beforeEach(() => load({ inboundRouting: rules }));

  test('I1, I4: mail goes to the Route of its rule instead of the mailbox', async () => {
    expect(await receive('routed', [known])).toEqual(taken);
    expect(await arrived('routed')).toEqual([`external-known ${known}`]);
  });

  test('I2: what an account sends to its own domain is Internal', async () => {
    expect(await submit('inside', [known, unknown])).toEqual(['250 2.1.5', ...taken]);
    expect(await arrived('inside')).toEqual([`internal-known ${known}`, `internal-unknown ${unknown}`]);
  });

  test('I5: unknown recipients go where the rule for them says', async () => {
    expect(await receive('both', [known, unknown])).toEqual(['250 2.1.5', ...taken]);
    expect(await arrived('both')).toEqual([`external-known ${known}`, `external-unknown ${unknown}`]);
  });

  test.each([
    [
      'an own-domain sender without authentication',
      () => receive('x1', [known], { from: `user@${domain}` }),
      'x1',
    ],
    ['the null sender', () => receive('x2', [known], { from: '', header: `user@${domain}` }), 'x2'],
    [
      'an account of another hosted domain',
      () => submit('x3', [known], { account: 'user@neighbour.example' }),
      'x3',
    ],
    [
      'an account that writes as an address elsewhere',
      () => submit('x4', [known], { from: 'other@elsewhere.example' }),
      'x4',
    ],
    [
      'an account whose From header is elsewhere',
      () => submit('x5', [known], { from: `user@${domain}`, header: 'other@elsewhere.example' }),
      'x5',
    ],
    [
      'an address that is the loopback of the machine',
      () => receive('x6', [known], { client: '127.0.0.1' }),
      'x6',
    ],
  ])('I3: %s is External', async (_what, send, subject) => {
    expect(await send()).toEqual(taken);
    expect(await arrived(subject)).toEqual([`external-known ${known}`]);
  });
});

describe('I5: unknown recipients', () => {
  test('without a rule for them they are refused, to everybody', async () => {
    await load({ inboundRouting: [rule({ route: 'external-known' })] });
    expect(await receive('none', [unknown])).toEqual(['550 5.1.1']);
    expect(await submit('none', [unknown])).toEqual(['550 5.1.1']);
  });

  test('a rule for one kind of mail takes no other kind', async () => {
    await load({ inboundRouting: rules.filter(({ match }) => match === 'Internal') });
    expect(await receive('other', [unknown])).toEqual(['550 5.1.1']);
    expect(await submit('other', [unknown])).toEqual(taken);
    // Outlook and webmail forge nothing, scripts do: Internal until the header is seen, External with it.
    expect(await submit('turned', [unknown], { header: 'other@elsewhere.example' })).toEqual([
      '250 2.1.5',
      '550 5.1.1',
    ]);
  });

  test('I13: only those that the Route knows', async () => {
    await load({
      inboundRouting: [rule({ target: 'Unknown', route: 'external-unknown', verifyRecipient: 'Probe' })],
    });
    sinkOf('external-unknown').behaviour = {
      rcpt: (to) => (to === unknown ? undefined : '550 5.1.1 no such user'),
    };
    expect(await receive('asked', [unknown, `ghost@${domain}`])).toEqual([
      '250 2.1.5',
      '550 5.1.1',
      '250 2.0.0',
    ]);
    expect(await arrived('asked')).toEqual([`external-unknown ${unknown}`]);
    await load({ inboundRouting: [rule({ target: 'Unknown', route: 'down', verifyRecipient: 'Probe' })] });
    expect(await receive('down', [unknown])).toEqual(['451 4.3.0']);
  });

  test('I13: the Route that is asked is that of the mail as its header makes it', async () => {
    const probed = rules.map((each) => ({ ...each, verifyRecipient: 'Probe' as const }));
    await load({ inboundRouting: probed.filter(({ target }) => target === 'Known') });
    sinkOf('external-known').behaviour = { rcpt: () => '550 5.1.1 no such user' };
    const header = 'other@elsewhere.example';
    expect(await submit('header', [`sales@${domain}`], { header })).toEqual(['250 2.1.5', '550 5.1.1']);
  });
});

describe('I6: also deliver locally', () => {
  const also = (over: Partial<InboundRule> = {}) => [
    rule({ route: 'external-known', alsoDeliverLocally: true, ...over }),
    rule({ target: 'Unknown', route: 'external-unknown', alsoDeliverLocally: true, ...over }),
  ];
  const ledger = async (): Promise<MtaState['ledger']> => (await mta.state()).ledger;

  test('the Route and the mailbox each get a copy', async () => {
    await load({ inboundRouting: also() });
    expect(await receive('two', [known])).toEqual(taken);
    expect(await arrived('two')).toEqual([`external-known ${known}`, `mailbox ${known}`]);
  });

  test('I7: a recipient that is not here is routed and not saved', async () => {
    await load({ inboundRouting: also() });
    expect(await receive('away', [unknown])).toEqual(taken);
    expect(await arrived('away')).toEqual([`external-unknown ${unknown}`]);
  });

  test.each(['external-known', 'mailbox'])('a refusal by %s does not touch the other copy', async (name) => {
    await load({ inboundRouting: also() });
    sinkOf(name).behaviour = { data: () => '550 5.7.1 not this one' };
    const subject = `refused-by-${name}`;
    expect(await receive(subject, [known])).toEqual(taken);
    const other = name === 'mailbox' ? 'external-known' : 'mailbox';
    expect(await arrived(subject)).toEqual([`${other} ${known}`]);
  });

  test('a Route that is down holds back its own copy only', async () => {
    await load({ inboundRouting: also() });
    sinkOf('external-known').behaviour = { mail: () => '451 4.3.0 later' };
    expect(await receive('slow', [known])).toEqual(taken);
    await eventually(() => sinkOf('mailbox').mails.length === 1, 'the mailbox has its copy');
    await eventually(async () => (await mta.queued()).length === 1, 'only the other copy waits');
    sinkOf('external-known').behaviour = {};
    expect(await arrived('slow')).toEqual([`external-known ${known}`, `mailbox ${known}`]);
  });

  test.each([
    ['Never', 'suppressedNdrs'],
    ['Always', 'backscatterAvoided'],
    ['Auto', 'suppressedNdrs'],
  ] as const)('I8, G9: a failure under ndr %s to a forged sender is counted as %s', async (ndr, count) => {
    await load({ inboundRouting: also({ ndr }) });
    sinkOf('external-known').behaviour = { data: () => '550 5.7.1 no' };
    const before = await ledger();
    expect(await receive(`ndr-${ndr}`, [known])).toEqual(taken);
    expect(await arrived(`ndr-${ndr}`)).toEqual([`mailbox ${known}`]);
    await eventually(async () => (await ledger())[count] === before[count] + 1, `${count} has grown`);
    expect(await ledger()).toEqual({ ...before, [count]: before[count] + 1 });
    // Nothing was sent to the sender, by whatever way.
    for (const { mails } of sinks.values()) expect(mails.filter(({ from }) => from === '')).toEqual([]);
  });
});

describe('I11: postmaster@ and abuse@', () => {
  const boss = `boss@${domain}`;
  const people = recipients(['boss', 'info']);

  test('go to the address that the domain names, from a blocked client too', async () => {
    await load({ postmaster: boss, recipients: people });
    for (const client of [stranger, blocked])
      expect(await receive('role', [`postmaster@${domain}`, `Abuse@${domain}`], { client })).toEqual([
        '250 2.1.5',
        ...taken,
      ]);
    expect(await receive('bare', ['postmaster'])).toEqual(taken);
    expect(await arrived('role')).toEqual([`mailbox ${boss}`, `mailbox ${boss}`]);
    expect(await arrived('bare')).toEqual([`mailbox ${boss}`]);
    expect(await receive('others', [known], { client: blocked })).toEqual(['550 5.7.1']);
  });

  test('are recipients like others where they are recipients', async () => {
    await load({ postmaster: boss, recipients: recipients(['boss', 'postmaster']) });
    expect(await receive('own', [`postmaster@${domain}`, `abuse@${domain}`])).toEqual([
      '250 2.1.5',
      ...taken,
    ]);
    expect(await arrived('own')).toEqual([`mailbox ${boss}`, `mailbox postmaster@${domain}`]);
  });

  test('are unknown where nobody is named, and never exempt from the gateway', async () => {
    await load({});
    expect(await receive('nobody', [`postmaster@${domain}`])).toEqual(['550 5.1.1']);
    await load({ postmaster: boss, recipients: people, gateway: gatewayPolicy() });
    expect(await receive('direct', [`postmaster@${domain}`])).toEqual(['550 5.7.1']);
  });
});

test('I14: where everybody is known, a rule for unknown recipients never applies', async () => {
  await load({ recipients: recipients([], { mode: 'Any' }), inboundRouting: rules.slice(3) });
  expect(await receive('anybody', [unknown])).toEqual(taken);
  expect(await arrived('anybody')).toEqual([`mailbox ${unknown}`]);
});

test('I1: 1,000 recipients over many domains get one answer, and each its own leg', async () => {
  const hosted = Array.from({ length: 20 }, (_, i) => `many-${i}.example`);
  const people = Array.from({ length: 50 }, (_, i) => `user${String(i).padStart(2, '0')}`);
  const domains = hosted.map((name) =>
    domainPolicy(name, {
      mailbox: { kind: 'Route', route: 'mailbox' },
      recipients: recipients(people),
      inboundRouting: name === hosted[0] ? [rule({ route: 'external-known' })] : [],
    }),
  );
  await mta.loadPolicy({ ...bundle({}), domains: [...bundle({}).domains, ...domains] }, secrets);
  const to = hosted.flatMap((name) => people.map((user) => `${user}@${name}`));
  const replies = await receive('many', to);
  expect(replies).toEqual([...to.map(() => '250 2.1.5'), '250 2.0.0']);
  const all = await arrived('many');
  expect(all).toHaveLength(1000);
  expect(all.filter((each) => each.startsWith('external-known '))).toHaveLength(50);
}, 120_000);
