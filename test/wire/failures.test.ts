import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleOf, domainPolicy, rule } from '../../policy/fixture.ts';
import { type NameServer, startNameServer } from '../parts/bind.ts';
import { accountOf, signIn } from './account.ts';
import { makeCertificate } from './certificate.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { noSecrets } from './policy-files.ts';
import { route } from './route.ts';
import { type Sink, startSink } from './sink.ts';
import { message } from './smtp-client.ts';

/** The address that sender.test names in its SPF record, and another one. */
const own = '203.0.113.10';
const stranger = '203.0.113.99';
const user = 'user@b.example';

let dns: NameServer;
let mta: MtaProcess;
/** Refuses every recipient, and takes reports. */
let refusing: Sink;
let later: Sink;
let reports: Sink;
beforeAll(async () => {
  dns = await startNameServer({
    'sender.test': ['@ IN NS ns.invalid.', `@ IN TXT "v=spf1 ip4:${own} -all"`],
    '.': ['@ IN NS ns.invalid.', 'ns.invalid. A 127.0.0.1'],
  });
  refusing = await startSink({ behaviour: { rcpt: () => '550 5.1.1 nobody is here' } });
  later = await startSink({ behaviour: { rcpt: () => '451 4.3.0 come again' } });
  reports = await startSink();
  const routed = (ndr: 'Auto' | 'Always' | 'Never', alsoDeliverLocally = false) => ({
    inboundRouting: [rule({ match: 'External', route: 'refusing', ndr, alsoDeliverLocally })],
    outboundRouting: [{ match: 'External' as const, changeRoute: 'reports' }],
    authentication: {
      spf: 'Mark' as const,
      dkim: 'Mark' as const,
      dmarc: 'Mark' as const,
      trustedArcSealers: [],
    },
  });
  mta = await startMta({
    bundle: {
      ...bundleOf([
        domainPolicy('b.example'),
        domainPolicy('auto.example', routed('Auto')),
        domainPolicy('always.example', routed('Always')),
        domainPolicy('never.example', routed('Never')),
        domainPolicy('both.example', routed('Auto', true)),
        domainPolicy('later.example', { mailbox: { kind: 'Route', route: 'later' } }),
      ]),
      routes: [route('refusing', refusing.port), route('later', later.port), route('reports', reports.port)],
    },
    secrets: { ...noSecrets, accounts: { 'b.example': [accountOf(user)] } },
    settings: { retryIntervalsSeconds: [300, 600], queueLifetimeSeconds: 3600 },
    certificate: await makeCertificate(),
    args: [...['--submission', '127.0.0.1:0', '--proxy-from', '127.0.0.1', '--resolver', dns.server]],
  });
}, 120_000);
afterAll(async () => {
  await mta?.[Symbol.asyncDispose]();
  for (const sink of [refusing, later, reports]) await sink?.[Symbol.asyncDispose]();
  await dns?.stop();
});

const ledger = async () => (await mta.state()).ledger;
const counts = () => mta.metric('postern_mta_ledger_total');
const emptied = () => eventually(async () => (await mta.queued()).length === 0, 'the queue is empty');

/** Mail from outside, of author@sender.test. */
async function receive(client: string, to: string): Promise<void> {
  const session = await mta.proxied(client);
  const from = 'author@sender.test';
  expect((await session.mail({ from, to: [to], data: message({ from }) })).at(-1)).toMatch(/^250 /);
  await session.close();
}

/** Mail of an account. */
async function send(to: string, subject: string): Promise<void> {
  const session = await signIn(mta, user);
  const replies = await session.mail({ from: user, to: [to], data: message({ from: user, subject }) });
  expect(replies.at(-1)).toMatch(/^250 /);
  await session.close();
}

/** Reports in the mailbox of the account about mail of this subject. */
const told = async (subject: string) =>
  (await mta.mailbox('b.example', 'user')).filter((mail) => mail.includes(`Subject: ${subject}\n`));

describe('G9: a failure of mail from outside', () => {
  test('G9: is reported if SPF has passed, by the outbound Route of the domain whose leg has failed', async () => {
    await receive(own, 'user@auto.example');
    await eventually(() => reports.mails.length === 1, 'the report has left');
    expect(reports.mails[0]).toMatchObject({ from: '', to: ['author@sender.test'] });
    expect(reports.mails[0]?.data).toMatch(/^Status: 5\.1\.1\r$/m);
    await emptied();
    expect((await ledger()).backscatterAvoided).toBe(0);
  });

  test('G9: is reported to nobody if the sender is forged, and counted', async () => {
    await receive(stranger, 'user@auto.example');
    await eventually(async () => (await ledger()).backscatterAvoided === 1, 'it is counted');
    expect(await counts()).toEqual({ '{domain="auto.example",entry="backscatterAvoided"}': 1 });
    await emptied();
    expect(reports.mails).toHaveLength(1);
  });
});

describe('I8: a Route that refuses a recipient', () => {
  test.each(['always', 'auto'])('I8: with ndr %s the sender is told', async (ndr) => {
    await send(`user@${ndr}.example`, `told ${ndr}`);
    await eventually(async () => (await told(`told ${ndr}`)).length === 1, 'the report is there');
    await emptied();
  });

  test('I8: with ndr Never nobody is told, and it is counted', async () => {
    const { suppressedNdrs } = await ledger();
    await send('user@never.example', 'never told');
    await eventually(async () => (await ledger()).suppressedNdrs === suppressedNdrs + 1, 'it is counted');
    expect(await counts()).toMatchObject({ '{domain="never.example",entry="suppressedNdrs"}': 1 });
    await emptied();
    expect(await told('never told')).toEqual([]);
  });

  test('I8, I6: with ndr Auto nobody is told if the mailbox has the mail', async () => {
    const { suppressedNdrs } = await ledger();
    await send('user@both.example', 'in the mailbox');
    await eventually(async () => (await ledger()).suppressedNdrs === suppressedNdrs + 1, 'it is counted');
    await emptied();
    expect(await told('in the mailbox')).toEqual([]);
    expect(await mta.mailbox('both.example', 'user')).toHaveLength(1);
  });
});

/** Lets time pass for the one mail in the queue: it has been tried so often and is due, to a new process. */
async function age(attempts: number): Promise<void> {
  await mta.end('SIGTERM');
  const [name = '', ...others] = (await mta.queued()).filter((one) => /^\d/.test(one));
  expect(others).toEqual([]);
  const [arrived, , , ...rest] = name.split('_');
  const aged = [arrived, Date.now(), attempts, ...rest].join('_');
  await rename(join(mta.queueDirectory, name), join(mta.queueDirectory, aged));
  await mta.start();
}

test('R6: attempts follow the schedule, and at its end the sender is told and the ledger counts it', async () => {
  const gaps = () =>
    mta
      .logged(({ event, to }) => event === 'deferred' && to === 'user@later.example')
      .map((entry) => entry['nextAttemptSeconds']);
  await send('user@later.example', 'too late');
  await eventually(() => gaps().length === 1, 'the first attempt has failed');
  await age(1);
  await eventually(() => gaps().length === 2, 'the second attempt has failed');
  await age(2);
  await eventually(() => gaps().length === 3, 'the third attempt has failed');
  // The last interval repeats.
  expect(gaps()).toEqual([300, 600, 600]);
  expect(await told('too late')).toEqual([]);
  await age(99);
  await eventually(async () => (await told('too late')).length === 1, 'the report is there');
  await emptied();
  expect(await ledger()).toMatchObject({ expired: 1, doubleBounces: 0, suppressedNdrs: 0 });
  expect(await counts()).toEqual({ '{domain="later.example",entry="expired"}': 1 });
  const [report] = await told('too late');
  expect(report).toMatch(/^Status: 5\.3\.0$/m);
  expect(report).toMatch(/^Diagnostic-Code: smtp; .*451 4\.3\.0 come again/m);
});
