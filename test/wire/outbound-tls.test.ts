import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { OutboundTls } from '../../bundle/domain-policy.ts';
import type { PolicyBundle } from '../../bundle/policy-bundle.ts';
import { bundleOf, domainPolicy } from '../../policy/fixture.ts';
import { type NameServer, startNameServer } from '../parts/bind.ts';
import { accountOf, signIn } from './account.ts';
import { makeCertificate } from './certificate.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { noSecrets } from './policy-files.ts';
import { type Sink, startSink } from './sink.ts';
import { message } from './smtp-client.ts';

const user = 'user@a.example';
const secrets = { ...noSecrets, accounts: { 'a.example': [accountOf(user)] } };

// Each partner is a domain with one server; what its certificate is worth depends on the policy alone.
const right = await makeCertificate('mx.good.test');
const wrong = await makeCertificate('elsewhere.test');
const expired = await makeCertificate('mx.expired.test', {
  notBeforeDate: new Date('2020-01-01'),
  notAfterDate: new Date('2020-02-01'),
});
const partners = {
  plain: '127.0.63.1',
  good: '127.0.63.2',
  misnamed: '127.0.63.3',
  expired: '127.0.63.4',
} as const;
type Partner = keyof typeof partners;
/** Servers whose TLS does not get as far as a certificate: their answer to EHLO and, after the offer, to STARTTLS. */
const broken = {
  noehlo: { host: '127.0.63.5', answers: { EHLO: '502 5.5.1 not here', HELO: '250 mx' } },
  refusing: {
    host: '127.0.63.6',
    answers: { EHLO: '250-mx\r\n250 STARTTLS', STARTTLS: '454 4.7.0 not available' },
  },
  refusing5: { host: '127.0.63.7', answers: { EHLO: '250-mx\r\n250 STARTTLS', STARTTLS: '502 5.5.1 no' } },
  garbled: {
    host: '127.0.63.8',
    answers: { EHLO: '250-mx\r\n250 STARTTLS', STARTTLS: '220 go on' },
  },
  injecting: {
    host: '127.0.63.10',
    answers: { EHLO: '250-mx\r\n250 STARTTLS', STARTTLS: '220 go on\r\nin clear' },
  },
  closing: { host: '127.0.63.9', answers: { EHLO: '250-mx\r\n250 STARTTLS', STARTTLS: '' } },
} satisfies Record<string, { host: string; answers: Record<string, string> }>;

let dns: NameServer;
let mta: MtaProcess;
let sinks: Record<Partner, Sink>;
const servers: Server[] = [];
/** Every command that one of them was sent and that is not about TLS. */
const said: string[] = [];
beforeAll(async () => {
  const zone = Object.entries(partners).flatMap(([name, address]) => [
    `${name} MX 10 mx.${name}`,
    `mx.${name} A ${address}`,
  ]);
  for (const [name, { host }] of Object.entries(broken))
    zone.push(`${name} MX 10 mx.${name}`, `mx.${name} A ${host}`);
  // Two servers, of which the second one is as it should be.
  zone.push('pair MX 10 mx.plain', 'pair MX 20 mx.good');
  dns = await startNameServer({ test: ['@ NS ns.invalid.', ...zone] });
  const plain = await startSink({ host: partners.plain });
  const secure = (host: string, { cert, key }: { cert: string; key: string }) =>
    startSink({ host, port: plain.port, server: { cert, key, disabledCommands: ['AUTH'] } });
  sinks = {
    plain,
    good: await secure(partners.good, right),
    misnamed: await secure(partners.misnamed, wrong),
    expired: await secure(partners.expired, expired),
  };
  for (const { host, answers } of Object.values(broken)) await startBroken(host, plain.port, answers);
  mta = await startMta({
    bundle: bundleWith([]),
    secrets,
    settings: {
      resolvers: [dns.server],
      internalMxRanges: ['127.0.63.0/24'],
      // What has failed is not tried again while other tests count.
      retryIntervalsSeconds: [3600],
    },
    certificate: await makeCertificate(),
    args: ['--submission', '127.0.0.1:0'],
    mxPort: plain.port,
  });
}, 120_000);
afterAll(async () => {
  await mta?.[Symbol.asyncDispose]();
  for (const sink of Object.values(sinks ?? {})) await sink[Symbol.asyncDispose]();
  for (const server of servers) server.close();
  await dns?.stop();
});

/** @param answers to commands; an empty one closes the connection. */
async function startBroken(host: string, port: number, answers: Record<string, string>): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write('220 mx\r\n');
    // One command at a time, so one chunk; a ClientHello is answered in clear, as any command that is not known.
    socket.on('data', (data) => {
      const [command = ''] = data.toString('latin1').split(/[ \r]/);
      if (['MAIL', 'RCPT', 'DATA'].includes(command)) said.push(command);
      const answer = answers[command] ?? '250 ok';
      if (answer === '') socket.destroy();
      else socket.write(`${answer}\r\n`);
    });
  });
  server.listen(port, host);
  await new Promise((resolve) => server.once('listening', resolve));
  servers.push(server);
}

function bundleWith(outbound: OutboundTls[]): PolicyBundle {
  return bundleOf([domainPolicy('a.example', { tls: { inbound: [], outbound } })]);
}

function demand(peer: string, over: Partial<OutboundTls> = {}): OutboundTls {
  return {
    peer,
    requireTrustedCA: false,
    requireHostnameMatch: false,
    caBundles: [],
    onFailure: 'Bounce',
    giveUpAfterSeconds: 14_400,
    from: [{ kind: 'TlsPolicy', name: 'partners', generation: 1 }],
    ...over,
  };
}

let messages = 0;
/** Sends to a partner under these policies; what became of it. */
async function fate(partner: string, outbound: OutboundTls[]): Promise<string> {
  await mta.loadPolicy(bundleWith(outbound), secrets);
  messages += 1;
  const to = `x${messages}@${partner}.test`;
  const session = await signIn(mta, user);
  const replies = await session.mail({ from: user, to: [to], data: message({ from: user }) });
  expect(replies.at(-1)).toMatch(/^250 /);
  await session.close();
  const told = () =>
    mta.logged(
      (entry) => entry['to'] === to && ['delivered', 'deferred', 'failed'].includes(`${entry['event']}`),
    );
  await eventually(() => told().length > 0, `something has become of the mail to ${to}`);
  const mail = Object.values(sinks)
    .flatMap(({ mails }) => mails)
    .find((one) => one.to.includes(to));
  if (mail === undefined) return `${told()[0]?.['event']}: ${told()[0]?.['reason']}`;
  return mail.secure ? 'sent over TLS' : 'sent in clear';
}

describe('without a TlsPolicy', () => {
  test.each([
    ['plain', 'sent in clear'],
    ['good', 'sent over TLS'],
    ['misnamed', 'sent over TLS'],
  ] as const)('TLS is used where %s offers it: %s', async (partner, expected) => {
    expect(await fate(partner, [])).toBe(expected);
    expect(await fate(partner, [demand('other.test')])).toBe(expected);
  });
});

const trusting = { requireTrustedCA: true, caBundles: [right.cert] };
const naming = { requireHostnameMatch: true };

describe.each<[what: string, over: Partial<OutboundTls>, sentTo: Partner[]]>([
  ['T12: TLS required', {}, ['good', 'misnamed']],
  ['T5: a trusted CA required', trusting, ['good']],
  ['T5: a CA of the system required', { requireTrustedCA: true, caBundles: ['System'] }, []],
  ['T5: a CA required that cannot be read', { requireTrustedCA: true, caBundles: ['Unavailable'] }, []],
  ['T6: only the name required of a self-signed certificate', naming, ['good']],
  ['T8: CA and name required', { ...trusting, ...naming }, ['good']],
])('%s', (_what, over, sentTo) => {
  test.each(['plain', 'good', 'misnamed'] as const)('T1: %s', async (partner) => {
    const { clear, mails } = sinks[partner];
    const before = [clear.length, mails.length];
    const got = await fate(partner, [demand(`${partner}.test`, over)]);
    if (sentTo.includes(partner)) expect(got).toBe('sent over TLS');
    else {
      expect(got).toMatch(/^failed: 4\.7\.[45] .*TLS/);
      // Not even MAIL was said, in clear or otherwise.
      expect([clear.length, mails.length]).toEqual(before);
    }
  });
});

test('T8: two policies add up, and a wildcard covers what is below it', async () => {
  const both = [
    demand('misnamed.test', { requireTrustedCA: true, caBundles: [wrong.cert] }),
    demand('*.test', naming),
  ];
  expect(await fate('misnamed', both)).toMatch(/^failed: .*TLS/);
  expect(await fate('misnamed', both.slice(0, 1))).toBe('sent over TLS');
});

test('T12: with Defer it waits, and fails after the deadline', async () => {
  expect(await fate('plain', [demand('plain.test', { onFailure: 'Defer' })])).toMatch(/^deferred: .*TLS/);
  expect(await fate('plain', [demand('plain.test', { onFailure: 'Defer', giveUpAfterSeconds: 0 })])).toMatch(
    /^failed: .*TLS/,
  );
});

test('T13: on the way to a Route the Route must meet it', async () => {
  const outbound = [demand('good.test', { onFailure: 'Defer' })];
  const route: PolicyBundle['routes'][number] = {
    name: 'out',
    source: { kind: 'Route', name: 'out', generation: 1 },
    host: partners.plain,
    port: sinks.plain.port,
    protocol: 'SMTP',
    lookupMx: false,
    tls: { mode: 'Opportunistic', verify: 'None' },
    authenticated: false,
    connection: { maxConcurrent: 10, timeoutSeconds: 20 },
  };
  const outboundRouting = [{ match: 'External' as const, changeRoute: 'out' }];
  const domain = domainPolicy('a.example', { outboundRouting, tls: { inbound: [], outbound } });
  const before = sinks.plain.clear.length;
  await mta.loadPolicy({ ...bundleOf([domain]), routes: [route] }, secrets);
  const session = await signIn(mta, user);
  await session.mail({ from: user, to: ['t13@good.test'], data: message({ from: user }) });
  const told = () => mta.logged(({ event, to }) => event === 'deferred' && to === 't13@good.test');
  await eventually(() => told().length > 0, 'the mail is deferred');
  expect(told()[0]?.['reason']).toMatch(/^4\.7\.4 /);
  expect(sinks.plain.clear.length).toBe(before);
});

test('T14, O2: a copy is not sent in clear where its original must not be', async () => {
  const former: PolicyBundle['routes'][number] = {
    name: 'former',
    source: { kind: 'Route', name: 'former', generation: 1 },
    host: partners.plain,
    port: sinks.plain.port,
    protocol: 'SMTP',
    lookupMx: false,
    tls: { mode: 'Opportunistic', verify: 'None' },
    authenticated: false,
    connection: { maxConcurrent: 10, timeoutSeconds: 20 },
  };
  const domain = domainPolicy('a.example', {
    outboundRouting: [{ match: 'External', sendCopyTo: 'former' }],
    tls: { inbound: [], outbound: [demand('good.test')] },
  });
  await mta.loadPolicy({ ...bundleOf([domain]), routes: [former] }, secrets);
  const before = sinks.plain.clear.length;
  const session = await signIn(mta, user);
  await session.mail({ from: user, to: ['t14@good.test'], data: message({ from: user }) });
  await eventually(
    () => sinks.good.mails.some(({ to }) => to.includes('t14@good.test')),
    'the mail is there',
  );
  const copies = () => mta.logged(({ event, to }) => event === 'failed' && to === user);
  await eventually(() => copies().length > 0, 'the copy has failed');
  expect(copies()[0]?.['reason']).toMatch(/^4\.7\.4 /);
  expect(sinks.plain.clear.length).toBe(before);
  await session.mail({ from: user, to: ['free@plain.test'], data: message({ from: user }) });
  await eventually(
    () => sinks.plain.mails.some(({ to }) => to.includes(user)),
    'another copy is sent in clear',
  );
});

test('T9, T10: a policy that is gone asks for nothing from the next attempt on', async () => {
  expect(await fate('plain', [demand('plain.test')])).toMatch(/^failed/);
  expect(await fate('plain', [])).toBe('sent in clear');
});

describe('T12: why a partner gets no mail is told in the words of TLS reports (RFC 8460)', () => {
  const counted = async (result: string) =>
    (await mta.metric('postern_mta_partner_tls_failures_total'))[`{domain="a.example",result="${result}"}`] ??
    0;
  const failing = async (partner: string) =>
    (await mta.state()).tlsFailures?.find((one) => one.partner === partner && one.via === 'Mx');

  test.each<[partner: string, over: Partial<OutboundTls>, result: string, detail: RegExp, status: string]>([
    ['plain.test', {}, 'starttls-not-supported', /not offered/, '4.7.4'],
    ['noehlo.test', {}, 'starttls-not-supported', /EHLO is refused/, '4.7.4'],
    ['refusing.test', {}, 'starttls-not-supported', /454 4\.7\.0 not available/, '4.7.4'],
    ['refusing5.test', {}, 'starttls-not-supported', /502 5\.5\.1 no/, '4.7.4'],
    ['garbled.test', {}, 'validation-failure', /SSL|TLS|EPROTO/, '4.7.5'],
    ['injecting.test', {}, 'validation-failure', /in clear|SSL/, '4.7.5'],
    ['closing.test', {}, 'validation-failure', /./, '4.7.5'],
    ['misnamed.test', trusting, 'certificate-not-trusted', /SELF_SIGNED/, '4.7.5'],
    ['misnamed.test', naming, 'certificate-host-mismatch', /mx\.misnamed\.test/, '4.7.5'],
    [
      'expired.test',
      { requireTrustedCA: true, caBundles: [expired.cert] },
      'certificate-expired',
      /CERT_HAS_EXPIRED/,
      '4.7.5',
    ],
    [
      'good.test',
      { requireTrustedCA: true, caBundles: ['Unavailable'] },
      'validation-failure',
      /trust store/,
      '4.7.5',
    ],
  ])('%s, %o: %s', async (partner, over, result, detail, status) => {
    const before = await counted(result);
    const name = partner.replace(/\.test$/, '');
    const earlier = (await failing(partner))?.failures ?? 0;
    const got = await fate(name, [demand(partner, { ...over, onFailure: 'Defer' })]);
    expect(got).toMatch(
      new RegExp(`^deferred: ${status.replaceAll('.', '\\.')} TLS required, mx\\.${partner}: ${result}: `),
    );
    expect(await counted(result)).toBe(before + 1);
    expect(await failing(partner)).toMatchObject({
      domain: 'a.example',
      via: 'Mx',
      host: `mx.${partner}`,
      result,
      detail: expect.stringMatching(detail),
      failures: earlier + 1,
    });
    expect(said).toEqual([]);
    // The same with Bounce is final at once, whatever it was that failed.
    expect(await fate(name, [demand(partner, over)])).toMatch(new RegExp(`^failed: .*${result}`));
  });

  test('the newest failure stands first, and is gone once mail has come through', async () => {
    await fate('good', [demand('good.test', { requireTrustedCA: true })]);
    expect((await mta.state()).tlsFailures?.[0]?.partner).toBe('good.test');
    expect(await fate('good', [demand('good.test', trusting)])).toBe('sent over TLS');
    expect(await failing('good.test')).toBeUndefined();
  });

  test('a server with better TLS behind the first one gets the mail', async () => {
    const before = await counted('starttls-not-supported');
    const { clear } = sinks.plain;
    const spoken = clear.length;
    expect(await fate('pair', [demand('pair.test', { ...trusting, ...naming })])).toBe('sent over TLS');
    expect(await counted('starttls-not-supported')).toBe(before + 1);
    expect(await failing('pair.test')).toBeUndefined();
    expect(clear.length).toBe(spoken);
  });

  test('what no TlsPolicy asks for is no failure, and what was one is none any more', async () => {
    expect(await fate('plain', [demand('plain.test')])).toMatch(/^failed/);
    const before = await counted('starttls-not-supported');
    expect(await failing('plain.test')).toBeDefined();
    expect(await fate('plain', [])).toBe('sent in clear');
    expect(await failing('plain.test')).toBeUndefined();
    expect(await counted('starttls-not-supported')).toBe(before);
  });
});
