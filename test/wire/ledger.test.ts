// The counts of what nobody was told of, by hosted domain: whose they are, and what becomes of them with the process.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundleOf, domainPolicy } from '../../policy/fixture.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, prepareMta } from './mta-process.ts';
import { route } from './route.ts';
import { type Sink, startSink } from './sink.ts';
import { message } from './smtp-client.ts';

const token = 'open sesame';
const none = { suppressedNdrs: 0, backscatterAvoided: 0, doubleBounces: 0, expired: 0 };

let sink: Sink;
let mta: MtaProcess;
const hosting = (...domains: string[]) => ({
  ...bundleOf(domains.map((domain) => domainPolicy(domain, { mailbox: { kind: 'Route', route: 'store' } }))),
  routes: [route('store', sink.port)],
});
beforeAll(async () => {
  sink = await startSink({ behaviour: { rcpt: () => '550 5.1.1 nobody is here' } });
  mta = await prepareMta({
    bundle: hosting('a.example', 'b.example'),
    token,
    settings: { retryIntervalsSeconds: [3600] },
  });
  await writeFile(join(mta.directory, 'ledger.json'), '{"domains": {"a.exam');
  await mta.start();
});
afterAll(async () => {
  await mta?.[Symbol.asyncDispose]();
  await sink?.[Symbol.asyncDispose]();
});

/** Mail of a sender whom nobody has proven, to a mailbox that refuses it. */
async function lose(domain: string): Promise<void> {
  const session = await mta.session();
  const to = [`user@${domain}`];
  expect((await session.mail({ from: 'someone@elsewhere.example', to, data: message() })).at(-1)).toMatch(
    /^250 /,
  );
  await session.close();
}
const told = async () => (await mta.state()).domainLedgers;
const metric = () => mta.metric('postern_mta_ledger_total');

test('G9: a file of counts that cannot be read is told of, and no mail is refused for it', async () => {
  const problems = mta.logged(({ event }) => event === 'ledger').map(({ problem }) => problem);
  expect(problems).toEqual([expect.stringContaining('ledger.json: ')]);
  expect(await told()).toEqual({});
});

test('G9: a failure counts for the domain whose leg it is, and for no other', async () => {
  await lose('a.example');
  await eventually(async () => Object.keys((await told()) ?? {}).length > 0, 'it is told');
  expect(await told()).toEqual({ 'a.example': { ...none, backscatterAvoided: 1 } });
  expect(await metric()).toEqual({ '{domain="a.example",entry="backscatterAvoided"}': 1 });
});

test('G9: what was told is still known after a SIGKILL, and all that was counted after a SIGTERM', async () => {
  await mta.end('SIGKILL');
  await mta.start();
  expect(await told()).toEqual({ 'a.example': { ...none, backscatterAvoided: 1 } });
  await lose('a.example');
  await eventually(async () => (await mta.state()).ledger.backscatterAvoided === 1, 'it is counted');
  await mta.end('SIGTERM');
  await mta.start();
  expect(await told()).toEqual({ 'a.example': { ...none, backscatterAvoided: 2 } });
  // The books are those of this process alone.
  expect((await mta.state()).ledger).toEqual(none);
});

test('G9: mail of a domain that is hosted no more counts in the total alone, and its counts are gone', async () => {
  sink.behaviour = { rcpt: () => '451 4.3.0 later' };
  await lose('a.example');
  const deferred = () => mta.logged(({ event }) => event === 'deferred');
  await eventually(() => deferred().length > 0, 'the mail waits');
  await mta.loadPolicy(hosting('b.example'));
  await eventually(async () => Object.keys((await told()) ?? {}).length === 0, 'its counts are gone');
  const [id] = deferred().map((entry) => String(entry['id']));
  const { host, port } = mta.address('http');
  const order = await fetch(`http://${host}:${port}/queue/${id}/bounce`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  });
  expect(await order.json()).toEqual({ results: [expect.objectContaining({ outcome: 'Done' })] });
  expect((await mta.state()).ledger).toEqual({ ...none, backscatterAvoided: 1, expired: 1 });
  expect(await metric()).toEqual({
    '{domain="other",entry="backscatterAvoided"}': 1,
    '{domain="other",entry="expired"}': 1,
  });
  expect(await told()).toEqual({});
  // Hosted again, it begins anew.
  await mta.loadPolicy(hosting('a.example', 'b.example'));
  sink.behaviour = { rcpt: () => '550 5.1.1 nobody is here' };
  await lose('a.example');
  await eventually(async () => Object.keys((await told()) ?? {}).length > 0, 'it is told');
  expect(await told()).toEqual({ 'a.example': { ...none, backscatterAvoided: 1 } });
});
