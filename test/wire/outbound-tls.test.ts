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
const partners = { plain: '127.0.63.1', good: '127.0.63.2', misnamed: '127.0.63.3' } as const;
type Partner = keyof typeof partners;

let dns: NameServer;
let mta: MtaProcess;
let sinks: Record<Partner, Sink>;
beforeAll(async () => {
  const zone = Object.entries(partners).flatMap(([name, address]) => [
    `${name} MX 10 mx.${name}`,
    `mx.${name} A ${address}`,
  ]);
  dns = await startNameServer({ test: ['@ NS ns.invalid.', ...zone] });
  const plain = await startSink({ host: partners.plain });
  const secure = (host: string, { cert, key }: { cert: string; key: string }) =>
    startSink({ host, port: plain.port, server: { cert, key, disabledCommands: ['AUTH'] } });
  sinks = {
    plain,
    good: await secure(partners.good, right),
    misnamed: await secure(partners.misnamed, wrong),
  };
  mta = await startMta({
    bundle: bundleWith([]),
    secrets,
    settings: { resolvers: [dns.server], internalMxRanges: ['127.0.63.0/24'] },
    certificate: await makeCertificate(),
    args: ['--submission', '127.0.0.1:0'],
    mxPort: plain.port,
  });
}, 120_000);
afterAll(async () => {
  await mta?.[Symbol.asyncDispose]();
  for (const sink of Object.values(sinks ?? {})) await sink[Symbol.asyncDispose]();
  await dns?.stop();
});

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
async function fate(partner: Partner, outbound: OutboundTls[]): Promise<string> {
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
  const mail = sinks[partner].mails.find((one) => one.to.includes(to));
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
