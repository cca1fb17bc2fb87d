import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { DomainPolicy } from '../../bundle/domain-policy.ts';
import type { PolicyBundle, SecretBundle } from '../../bundle/policy-bundle.ts';
import { bundleOf, domainPolicy, rule } from '../../policy/fixture.ts';
import { recordFaults } from '../faults/record.ts';
import { type NameServer, startNameServer } from '../parts/bind.ts';
import { accountOf, signIn } from './account.ts';
import { makeCertificate } from './certificate.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { noSecrets } from './policy-files.ts';
import { route } from './route.ts';
import { type Sink, startSink } from './sink.ts';
import { message } from './smtp-client.ts';

afterEach(() => recordFaults(1));

const user = 'user@a.example';
const secrets: SecretBundle = {
  hopKey: 'a key of forty-three octets, as it is made...',
  ...noSecrets,
  accounts: {
    'a.example': [
      accountOf(user),
      accountOf('few@a.example'),
      accountOf('dlp@a.example', { kind: 'Relay', sendAs: ['*@a.example'], fromRoute: 'dlp' }),
      accountOf('printer@a.example', { kind: 'Relay', sendAs: ['*@a.example'] }),
    ],
  },
};

/** Where the sinks that stand for the Internet live; they share a port, as real ones do. */
const addresses = { partner: '127.0.61.1', backup: '127.0.61.2', forbidden: '127.0.62.1' } as const;
const zone = [
  '@ NS ns.invalid.',
  'partner MX 10 mx1.partner',
  `mx1.partner A ${addresses.partner}`,
  // The better one is down.
  'fallback MX 10 down.fallback',
  'fallback MX 20 mx2.fallback',
  'down.fallback A 127.0.61.9',
  `mx2.fallback A ${addresses.backup}`,
  // No MX: the domain's own address.
  `implicit A ${addresses.partner}`,
  'null MX 0 .',
  'inside MX 10 mx.inside',
  `mx.inside A ${addresses.forbidden}`,
  'metadata MX 10 mx.metadata',
  'mx.metadata A 169.254.169.254',
  'us MX 10 mx.mta.example.',
  'us MX 20 mx1.partner',
  'mixed MX 10 mx.inside',
  'mixed MX 20 mx1.partner',
  // IPv6 only, and nobody listens there.
  'six MX 10 mx.six',
  'mx.six AAAA ::1',
  'dual MX 10 mx.dual',
  'mx.dual AAAA ::1',
  `mx.dual A ${addresses.partner}`,
  // Fifty servers of which one is up: the tenth, and the last.
  ...fifty('many', 10),
  ...fifty('endless', 50),
];

function fifty(name: string, alive: number): string[] {
  return Array.from({ length: 50 }, (_, index) => index + 1).flatMap((place) => [
    `${name} MX ${place} mx${place}.${name}`,
    `mx${place}.${name} A ${place === alive ? addresses.partner : `127.0.61.${100 + place}`}`,
  ]);
}

let dns: NameServer;
let mta: MtaProcess;
let partner: Sink;
let backup: Sink;
let forbidden: Sink;
let dlp: Sink;
let former: Sink;
let archive: Sink;
const everything: AsyncDisposable[] = [];

beforeAll(async () => {
  dns = await startNameServer({ test: zone, broken: 'broken' });
  partner = await startSink({ host: addresses.partner });
  backup = await startSink({ host: addresses.backup, port: partner.port });
  forbidden = await startSink({ host: addresses.forbidden, port: partner.port });
  [dlp, former, archive] = [await startSink(), await startSink(), await startSink()];
  everything.push(partner, backup, forbidden, dlp, former, archive);
  mta = await startMta({
    bundle: bundleWith({}),
    secrets,
    settings: { resolvers: [dns.server], internalMxRanges: ['127.0.61.0/24', '::1/128'] },
    certificate: await makeCertificate(),
    args: ['--submission', '127.0.0.1:0'],
    mxPort: partner.port,
  });
}, 120_000);
afterAll(async () => {
  await mta?.[Symbol.asyncDispose]();
  for (const resource of everything) await resource[Symbol.asyncDispose]();
  await dns?.stop();
});

function bundleWith(a: Partial<DomainPolicy>, b: Partial<DomainPolicy> = {}): PolicyBundle {
  return {
    ...bundleOf([domainPolicy('a.example', a), domainPolicy('b.example', b)]),
    routes: [route('archive', archive.port), route('dlp', dlp.port), route('former', former.port)],
  };
}

const external = (over: { changeRoute?: string; sendCopyTo?: string }) => ({
  outboundRouting: [{ match: 'External' as const, ...over }],
});

let messages = 0;
/** Sends a message of an account; its subject, which tells it from the others. */
async function send(to: readonly string[], { from = user, account = user } = {}): Promise<string> {
  const subject = `outbound ${++messages}`;
  const session = await signIn(mta, account);
  const data = message({ from: from === '' ? account : from, subject });
  const replies = await session.mail({ from, to, data });
  expect(replies.map((reply) => reply.slice(0, 3))).toEqual(['250', ...to.map(() => '250'), '250']);
  await session.close();
  return subject;
}

/** The envelopes of a message at a sink. */
function envelopes(sink: Sink, subject: string): { from: string; to: readonly string[] }[] {
  return sink.mails
    .filter(({ data }) => new RegExp(`^Subject: ${subject}\r$`, 'm').test(data))
    .map(({ from, to }) => ({ from, to }));
}

const emptied = () => eventually(async () => (await mta.queued()).length === 0, 'the queue is empty');

const outcome = async (event: 'failed' | 'deferred', to: string) => {
  const entries = () => mta.logged((entry) => entry['event'] === event && entry['to'] === to);
  await eventually(() => entries().length > 0, `mail to ${to} has ${event}`);
  return String(entries()[0]?.['reason']);
};

describe('mail for others', () => {
  test('goes to the MX of its domain', async () => {
    const subject = await send(['x@partner.test']);
    await emptied();
    expect(envelopes(partner, subject)).toEqual([{ from: user, to: ['x@partner.test'] }]);
  });

  test('goes to the next MX if the best one is down, and to the domain itself if it has no MX', async () => {
    const subject = await send(['x@fallback.test', 'y@implicit.test']);
    await emptied();
    expect(envelopes(backup, subject)).toEqual([{ from: user, to: ['x@fallback.test'] }]);
    expect(envelopes(partner, subject)).toEqual([{ from: user, to: ['y@implicit.test'] }]);
  });

  test.each([
    ['X16: a null MX', 'x@null.test', /^.*556 5\.1\.10 /],
    ['a domain that does not exist', 'x@nowhere.test', /^.*550 5\.1\.2 /],
    ['X16, R7: an MX on a loopback address', 'x@inside.test', /^.*550 5\.4\.4 .*not public/],
    ['R7: an MX at the metadata service', 'x@metadata.test', /^.*550 5\.4\.4 .*not public/],
    ['an MX that is this server', 'x@us.test', /^.*550 5\.4\.6 /],
  ])('%s ends in a failure', async (_what, to, reason) => {
    await send([to]);
    expect(await outcome('failed', to)).toMatch(reason);
    await emptied();
    expect(forbidden.mails).toEqual([]);
  });

  test.each(['mixed.test', 'dual.test', 'many.test'])(
    'X16: the server of %s that can be used gets the mail',
    async (domain) => {
      const subject = await send([`x@${domain}`]);
      await emptied();
      expect(envelopes(partner, subject)).toEqual([{ from: user, to: [`x@${domain}`] }]);
      expect(forbidden.mails).toEqual([]);
    },
  );

  test.each(['six.test', 'endless.test'])(
    'X16: servers of %s that are dead make the mail wait',
    async (domain) => {
      const subject = await send([`x@${domain}`]);
      expect(await outcome('deferred', `x@${domain}`)).toMatch(
        /^4\.4\.1 [0-9a-f:.]+:\d+: no connection: ECONNREFUSED$/,
      );
      expect(envelopes(partner, subject)).toEqual([]);
      expect(mta.logged(({ event, to }) => event === 'failed' && to === `x@${domain}`)).toEqual([]);
    },
  );

  test('X16: a name server that fails makes the mail wait', async () => {
    await send(['x@broken']);
    expect(await outcome('deferred', 'x@broken')).toMatch(/451 4\.4\.3 /);
  });

  test("a 5xx of the recipient's server is final, also to MAIL", async () => {
    partner.behaviour = { mail: () => '550 5.7.1 not from you' };
    await send(['refused@partner.test']);
    expect(await outcome('failed', 'refused@partner.test')).toMatch(/not from you/);
    partner.behaviour = {};
  });
});

describe('outbound routing', () => {
  test('O1, O4: External takes the Route, for matching recipients only', async () => {
    await mta.loadPolicy(bundleWith(external({ changeRoute: 'dlp' })), secrets);
    const subject = await send(['info@a.example', 'x@partner.test']);
    await eventually(() => envelopes(dlp, subject).length === 1, 'the Route has the mail');
    expect(envelopes(dlp, subject)).toEqual([{ from: user, to: ['x@partner.test'] }]);
    expect((await mta.mailbox('a.example', 'info')).join()).toContain(`Subject: ${subject}`);
    expect(envelopes(partner, subject)).toEqual([]);
  });

  test('O2: one copy goes to the Route, to the sender; every recipient has the mail once', async () => {
    await mta.loadPolicy(bundleWith(external({ sendCopyTo: 'former' })), secrets);
    const subject = await send(['x@partner.test', 'y@partner.test']);
    await eventually(() => envelopes(partner, subject).length === 2, 'both have the mail');
    await eventually(() => envelopes(former, subject).length === 1, 'the copy is there');
    expect(envelopes(former, subject)).toEqual([{ from: user, to: [user] }]);
    const bounced = await send(['x@partner.test'], { from: '' });
    await eventually(() => envelopes(partner, bounced).length === 1, 'mail without a sender is delivered');
    expect(envelopes(former, bounced)).toEqual([]);
  });

  test('O2: a copy that is refused ends in the ledger, and nobody is told', async () => {
    former.behaviour = { rcpt: () => '550 5.1.1 no' };
    const before = (await mta.state()).ledger.suppressedNdrs;
    await send(['x@partner.test']);
    await eventually(async () => (await mta.state()).ledger.suppressedNdrs === before + 1, 'it is counted');
    former.behaviour = {};
  });

  test('O6: changeRoute and sendCopyTo together', async () => {
    await mta.loadPolicy(bundleWith(external({ changeRoute: 'dlp', sendCopyTo: 'former' })), secrets);
    const subject = await send(['x@partner.test']);
    await eventually(() => envelopes(dlp, subject).length === 1, 'the Route has the mail');
    await eventually(() => envelopes(former, subject).length === 1, 'the copy is there');
  });

  test('O3: what the Route hands back by its account goes on, and is not copied again', async () => {
    const subject = await send(['x@partner.test'], { account: 'dlp@a.example' });
    await eventually(() => envelopes(partner, subject).length === 1, 'the mail goes on');
    expect(envelopes(dlp, subject)).toEqual([]);
    expect(envelopes(former, subject)).toEqual([]);
  });

  test('O3, G10: mail that has been at the Route is a loop from anybody but its account', async () => {
    const subject = await send(['x@partner.test']);
    await eventually(() => envelopes(dlp, subject).length === 1, 'the Route has the mail');
    const seen = dlp.mails.find(({ data }) => data.includes(`Subject: ${subject}\r`))?.data ?? '';
    const hand = async (account: string) => {
      const session = await signIn(mta, account);
      const replies = await session.mail({ from: user, to: ['x@partner.test'], data: seen });
      await session.close();
      return replies.at(-1);
    };
    expect(await hand(user)).toMatch(/^554 5\.4\.6 .*\(ref \w{8}\)$/);
    expect(await hand('dlp@a.example')).toMatch(/^250 /);
    await eventually(() => envelopes(partner, subject).length === 1, 'the mail goes on');
    expect(envelopes(dlp, subject)).toHaveLength(1);
  });

  test('O8: hosted a to hosted b is External for a, then External for b', async () => {
    const b = {
      inboundRouting: [
        rule({ match: 'External', route: 'archive' }),
        rule({ match: 'Internal', route: 'dlp' }),
      ],
    };
    await mta.loadPolicy(bundleWith(external({ sendCopyTo: 'former' }), b), secrets);
    const subject = await send(['info@b.example']);
    await eventually(() => envelopes(archive, subject).length === 1, 'the rule of b has acted');
    await eventually(() => envelopes(former, subject).length === 1, 'the rule of a has acted');
    expect(envelopes(dlp, subject)).toEqual([]);
  });

  test('R9: mail of a MailDomain or Route that is gone waits with 4.3.5, and goes when it is back', async () => {
    await mta.loadPolicy(bundleWith(external({ changeRoute: 'dlp' })), secrets);
    dlp.behaviour = { rcpt: () => '450 4.2.1 later' };
    const subject = await send(['gone@partner.test']);
    await outcome('deferred', 'gone@partner.test');
    const full = bundleWith(external({ changeRoute: 'dlp' }));
    const told = (text: string) => () =>
      mta.logged(({ event, reason }) => event === 'deferred' && String(reason).includes(text)).length > 0;
    await mta.loadPolicy({ ...full, routes: full.routes.filter(({ name }) => name !== 'dlp') }, secrets);
    dlp.behaviour = {};
    await eventually(told('4.3.5 Route dlp is gone'), 'it waits for the Route');
    await mta.loadPolicy({ ...full, domains: full.domains.slice(1) }, secrets);
    await eventually(told('4.3.5 MailDomain of a.example is gone'), 'it waits for the MailDomain');
    expect(envelopes(partner, subject)).toEqual([]);
    await mta.loadPolicy(full, secrets);
    await eventually(() => envelopes(dlp, subject).length === 1, 'it is delivered');
  }, 60_000);
});

describe('accounts', () => {
  test('P7: an account at its limit is told to wait; another one is not', async () => {
    const submission = { enabled: true, accounts: true, recipientsPerHour: 3 };
    await mta.loadPolicy(bundleWith({ submission }), secrets);
    const session = await signIn(mta, 'few@a.example');
    const to = ['1', '2', '3', '4'].map((local) => `${local}@partner.test`);
    const replies = await session.mail({
      from: 'few@a.example',
      to,
      data: message({ from: 'few@a.example' }),
    });
    expect(replies.slice(1).map((reply) => reply.slice(0, 9))).toEqual([
      '250 2.1.5',
      '250 2.1.5',
      '250 2.1.5',
      '450 4.7.1',
      '250 2.0.0',
    ]);
    // Another connection of the account changes nothing.
    const again = await signIn(mta, 'few@a.example');
    await again.send('MAIL FROM:<few@a.example>');
    expect(await again.send('RCPT TO:<5@partner.test>')).toMatch(/^450 4\.7\.1 .*\(ref \w{8}\)$/);
    const other = await signIn(mta, 'printer@a.example');
    await other.send('MAIL FROM:<printer@a.example>');
    expect(await other.send('RCPT TO:<x@partner.test>')).toMatch(/^250 /);
    await mta.loadPolicy(bundleWith({}), secrets);
  });

  test('P6: a relay account sends as anybody of its domain, and as nobody else', async () => {
    await send(['x@partner.test'], { account: 'printer@a.example', from: 'scanner@a.example' });
    const session = await signIn(mta, 'printer@a.example');
    expect(await session.send('MAIL FROM:<x@b.example>')).toMatch(/^553 5\.7\.1 /);
  });

  test('P9, G8: recipients of different settings in one message are all accepted', async () => {
    const b = {
      authentication: { spf: 'Reject', dkim: 'Mark', dmarc: 'Reject', trustedArcSealers: [] },
    } satisfies Partial<DomainPolicy>;
    await mta.loadPolicy(bundleWith({}, b), secrets);
    const subject = await send(['info@a.example', 'info@b.example', 'x@partner.test']);
    await eventually(() => envelopes(partner, subject).length === 1, 'it goes out as well');
  });
});
