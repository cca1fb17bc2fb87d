import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DomainPolicy } from '../../bundle/domain-policy.ts';
import type { PolicyBundle, SecretBundle } from '../../bundle/policy-bundle.ts';
import { bundleOf, domainPolicy, rule } from '../../policy/fixture.ts';
import { makeKey, publish } from '../dkim/keys.ts';
import { verifiers } from '../parts/dkim-verifiers.ts';
import { accountOf, signIn } from './account.ts';
import { makeCertificate } from './certificate.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { noSecrets } from './policy-files.ts';
import { route } from './route.ts';
import { type Sink, startSink } from './sink.ts';
import { message } from './smtp-client.ts';

const fallback = makeKey('platform.example', 'platform', 'RSA', { fallback: true });
const { records, dkimKeys } = publish(fallback);
const secrets: SecretBundle = {
  ...noSecrets,
  dkimKeys,
  accounts: {
    'a.example': [accountOf('user@a.example', { sendAs: ['*@a.example', 'guest@elsewhere.example'] })],
  },
};

const spare = makeKey('spare.example', 'spare', 'RSA', { fallback: true });
let hosted: DomainPolicy[];
let routes: PolicyBundle['routes'];
let out: Sink;
let mta: MtaProcess;
beforeAll(async () => {
  out = await startSink({
    behaviour: { rcpt: (to) => (to.startsWith('bad') ? '550 5.1.1 no such user' : undefined) },
  });
  routes = [route('out', out.port)];
  const outboundRouting = [{ match: 'External' as const, changeRoute: 'out' }];
  hosted = [
    domainPolicy('a.example', { outboundRouting }),
    domainPolicy('forward.example', {
      inboundRouting: [rule({ match: 'External', route: 'out', ndr: 'Never' })],
    }),
    domainPolicy('platform.example', { dkim: [fallback.signer] }),
  ];
  mta = await startMta({
    bundle: {
      ...bundleOf(hosted),
      routes,
    },
    secrets,
    settings: { postmaster: 'postmaster@platform.example' },
    certificate: await makeCertificate(),
    args: ['--submission', '127.0.0.1:0'],
  });
});
afterAll(async () => {
  await mta?.[Symbol.asyncDispose]();
  await out?.[Symbol.asyncDispose]();
});

async function send(from: string, to: string, subject: string): Promise<void> {
  const session = await signIn(mta, 'user@a.example');
  const data = message({ from: from === '' ? 'user@a.example' : from, subject });
  expect((await session.mail({ from, to: [to], data })).at(-1)).toMatch(/^250 /);
  await session.close();
}
const emptied = () => eventually(async () => (await mta.queued()).length === 0, 'the queue is empty');

test('G9, O9: an account is told of a failure, in a report that is signed for the postmaster', async () => {
  await send('user@a.example', 'bad@b.example', 'to nobody');
  await eventually(async () => (await mta.mailbox('a.example', 'user')).length === 1, 'the report is there');
  const [report = ''] = await mta.mailbox('a.example', 'user');
  expect(report).toMatch(/^Return-Path: <>$/m);
  expect(report).toMatch(/^From: Mail Delivery System <postmaster@platform\.example>$/m);
  expect(report).toMatch(/^Final-Recipient: rfc822; bad@b\.example\nAction: failed\nStatus: 5\.1\.1$/m);
  expect(report).toMatch(/^Diagnostic-Code: smtp; .*550 5\.1\.1 no such user/m);
  expect(report).toMatch(/^Subject: to nobody$/m);
  // Below what final delivery has put on top.
  const signed = Buffer.from(
    report.slice(report.indexOf('DKIM-Signature:')).replaceAll('\n', '\r\n'),
    'latin1',
  );
  expect(await verifiers.mailauth(signed, records)).toEqual(['platform=pass']);
  await emptied();
  expect((await mta.state()).ledger).toEqual({
    suppressedNdrs: 0,
    backscatterAvoided: 0,
    doubleBounces: 0,
    expired: 0,
  });
});

test('O9: the report to a sender elsewhere takes the outbound Route of its domain; if it fails, the ledger counts it', async () => {
  const session = await signIn(mta, 'user@a.example');
  const from = 'guest@elsewhere.example';
  await session.mail({ from, to: ['bad@b.example'], data: message({ from }) });
  await eventually(() => out.mails.some(({ to }) => to.includes(from)), 'the report has left by the Route');
  expect(out.mails.find(({ to }) => to.includes(from))?.from).toBe('');
  await emptied();
  out.behaviour = { rcpt: () => '550 5.1.1 nobody is here' };
  await session.mail({ from, to: ['x@b.example'], data: message({ from }) });
  await eventually(
    async () => (await mta.state()).ledger.doubleBounces === 1,
    'the failed report is counted',
  );
  await emptied();
});

test('G9: nobody is told of a failure of mail without a sender, or from a mailbox that is not there', async () => {
  const before = (await mta.state()).ledger.doubleBounces;
  await send('', 'x@b.example', 'null');
  await send('gone@a.example', 'x@b.example', 'gone');
  await eventually(async () => (await mta.state()).ledger.doubleBounces === before + 2, 'both are counted');
  await emptied();
});

test('G9: a failure that cannot be reported now is not lost: the mail stays until it can', async () => {
  const place = join(mta.directory, 'mail', 'a.example', 'sales');
  await mkdir(dirname(place), { recursive: true });
  await writeFile(place, 'where the Maildir should be');
  out.behaviour = { rcpt: (to) => (to.startsWith('bad') ? '550 5.1.1 no such user' : undefined) };
  await send('sales@a.example', 'bad@b.example', 'told later');
  const failures = () => mta.logged(({ event }) => event === 'report');
  await eventually(() => failures().length > 0, 'the report cannot be filed');
  expect(await mta.queued()).toHaveLength(1);
  await rm(place);
  // It would be tried again in a minute; a new process does so at once.
  await mta.end('SIGTERM');
  await mta.start();
  await eventually(async () => (await mta.mailbox('a.example', 'sales')).length === 1, 'the report is there');
  await emptied();
});

test('O9, K17: a report is signed with the fallback key while the key of its own domain is not here', async () => {
  const lost = makeKey('platform.example', 'lost', 'RSA');
  const domains = [
    domainPolicy('a.example', { outboundRouting: [{ match: 'External', changeRoute: 'out' }] }),
    domainPolicy('platform.example', { dkim: [lost.signer] }),
    domainPolicy('spare.example', { dkim: [spare.signer] }),
  ];
  const keys = { ...secrets.dkimKeys, ...publish(spare).dkimKeys };
  await mta.loadPolicy({ ...bundleOf(domains), routes }, { ...secrets, dkimKeys: keys });
  await send('info@a.example', 'bad@b.example', 'signed by another');
  const reports = () => mta.mailbox('a.example', 'info');
  await eventually(async () => (await reports()).length === 1, 'the report is there');
  expect((await reports())[0]).toMatch(/^\td=spare\.example; s=spare; /m);
  const missing = () => mta.logged(({ event }) => event === 'signing').map((entry) => entry['missing']);
  await eventually(() => missing().length > 0, 'the log says which key is missing');
  expect(missing()).toEqual([['lost._domainkey.platform.example']]);
  await emptied();
  await mta.loadPolicy({ ...bundleOf(hosted), routes }, secrets);
});

test('G9, I8: mail from outside is reported to nobody', async () => {
  out.behaviour = { rcpt: () => '550 5.1.1 nobody is here' };
  const session = await mta.session();
  const to = ['info@forward.example'];
  expect((await session.mail({ from: 'forged@victim.example', to })).at(-1)).toMatch(/^250 /);
  await eventually(async () => (await mta.state()).ledger.suppressedNdrs === 1, 'it is counted');
  await emptied();
  expect(out.mails.filter(({ to: [first] }) => first === 'forged@victim.example')).toEqual([]);
});

test('G9, O9: the books are closed: accepted and reports are delivered, bounced, in the queue or in the ledger', async () => {
  out.behaviour = { rcpt: () => '451 4.3.0 later' };
  await send('user@a.example', 'waits@b.example', 'in the queue');
  await eventually(
    () => mta.logged(({ event, to }) => event === 'deferred' && to === 'waits@b.example').length > 0,
    'one mail waits',
  );
  const text = await (await mta.get('/metrics')).text();
  const { legs, queue } = await mta.state();
  for (const fate of ['accepted', 'reports', 'bounced', 'ledger'] as const) {
    expect(text).toMatch(new RegExp(`^postern_mta_legs_total\\{fate="${fate}"\\} [1-9]`, 'm'));
    expect(text).toContain(`postern_mta_legs_total{fate="${fate}"} ${legs?.[fate]}\n`);
  }
  expect((legs?.accepted ?? 0) + (legs?.reports ?? 0) + (legs?.found ?? 0)).toBe(
    (legs?.delivered ?? 0) + (legs?.bounced ?? 0) + (legs?.ledger ?? 0) + queue.size,
  );
  expect(text).toMatch(/^postern_mta_queue_messages 1$/m);
  expect(await mta.imbalance()).toBe(0);
});
