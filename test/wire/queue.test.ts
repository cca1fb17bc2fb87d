import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type QueueEnvelope,
  type QueuePage,
  queueEnvelope,
  queuePage,
  queueResults,
} from '../../bundle/queue.ts';
import { bundleOf, domainPolicy, rule } from '../../policy/fixture.ts';
import { accountOf, signIn } from './account.ts';
import { makeCertificate } from './certificate.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { noSecrets } from './policy-files.ts';
import { route } from './route.ts';
import { type Sink, startSink } from './sink.ts';
import { message } from './smtp-client.ts';

const token = 'open sesame';
const user = 'user@a.example';
const later = { rcpt: () => '451 4.3.2 not now' };

let sink: Sink;
let mta: MtaProcess;
beforeAll(async () => {
  sink = await startSink({ behaviour: later });
  const outboundRouting = [{ match: 'External' as const, changeRoute: 'out' }];
  mta = await startMta({
    bundle: {
      ...bundleOf([
        domainPolicy('a.example', { outboundRouting }),
        domainPolicy('forward.example', {
          inboundRouting: [rule({ match: 'External', route: 'out', ndr: 'Never' })],
        }),
      ]),
      routes: [route('out', sink.port)],
    },
    secrets: { ...noSecrets, accounts: { 'a.example': [accountOf(user)] } },
    // Nobody waits so long: what moves in these tests moves because it was told to.
    settings: { retryIntervalsSeconds: [3600] },
    certificate: await makeCertificate(),
    args: ['--submission', '127.0.0.1:0'],
    token,
  });
});
afterAll(async () => {
  await mta?.[Symbol.asyncDispose]();
  await sink?.[Symbol.asyncDispose]();
});

async function call(method: string, path: string, authorization = `Bearer ${token}`): Promise<Response> {
  const { host, port } = mta.address('http');
  return fetch(`http://${host}:${port}${path}`, { method, headers: { authorization } });
}
const list = async (query = ''): Promise<QueuePage> =>
  queuePage.parse(await (await call('GET', `/queue${query}`)).json());
const show = async (id: string, query = ''): Promise<QueueEnvelope['mail']> =>
  queueEnvelope.parse(await (await call('GET', `/queue/${id}${query}`)).json()).mail;
const order = async (verb: string, ...ids: string[]) =>
  queueResults.parse(await (await call('POST', `/queue/${ids.join(',')}/${verb}`)).json()).results;
const gauge = async (name: string) =>
  Number(new RegExp(`^postern_mta_${name} (\\d+)$`, 'm').exec(await (await mta.get('/metrics')).text())?.[1]);

/** Sends a mail that the Route defers. @returns its id, once it waits. */
async function defer(subject: string): Promise<string> {
  const known = new Set((await list()).mails.map(({ id }) => id));
  const session = await signIn(mta, user);
  const data = message({ from: user, subject, body: 'for their eyes only\r\n' });
  expect((await session.mail({ from: user, to: ['friend@b.example'], data })).at(-1)).toMatch(/^250 /);
  await session.close();
  let found = '';
  await eventually(async () => {
    const mail = (await list()).mails.find(({ id, state }) => !known.has(id) && state === 'Deferred');
    found = mail?.id ?? '';
    return mail !== undefined;
  }, 'the mail waits for its next attempt');
  return found;
}

/** Lets the Route take everything, and waits until nothing is queued. */
async function empty(): Promise<void> {
  sink.behaviour = {};
  for (const { id, state } of (await list()).mails) await order(state === 'Held' ? 'release' : 'retry', id);
  await eventually(async () => (await list()).total === 0, 'the queue is empty');
  sink.behaviour = later;
}

test('the queue asks for the token, whatever is asked, and knows nothing but its orders', async () => {
  for (const [method, path] of [
    ['GET', '/queue'],
    ['GET', '/queue/x'],
    ['POST', '/queue/x/bounce'],
  ] as const) {
    expect((await call(method, path, 'Bearer open sesam')).status).toBe(401);
    expect((await call(method, path, '')).status).toBe(401);
    expect((await call(method, path)).status).toBe(200);
  }
  expect((await call('GET', '/queue/x/bounce')).status).toBe(405);
  expect((await call('DELETE', '/queue/x')).status).toBe(405);
  expect((await call('POST', '/queue')).status).toBe(405);
  expect((await call('POST', '/queue/x/delete')).status).toBe(404);
  expect((await call('GET', '/queue?limit=0')).status).toBe(400);
  expect((await call('POST', `/queue/${Array(101).fill('x').join(',')}/retry`)).status).toBe(400);
});

test('without a token nobody looks at the queue or gives an order', async () => {
  await using open = await startMta();
  expect((await open.get('/queue')).status).toBe(401);
  expect((await open.get('/state')).status).toBe(200);
});

test('the list tells where mail waits for, since when and why, but not whose; show tells the envelope', async () => {
  const id = await defer('secret plans');
  const { total, held, mails } = await list();
  expect({ total, held }).toEqual({ total: 1, held: 0 });
  const [mail] = mails;
  expect(mail).toMatchObject({
    id,
    state: 'Deferred',
    attempts: 1,
    domain: 'a.example',
    recipientDomain: 'b.example',
    destination: 'Route/out',
  });
  expect(mail?.lastAnswer?.text).toContain('4.3.2 not now');
  expect(mail?.nextAttempt).toBeGreaterThan((mail?.arrived ?? 0) + 3000);
  expect(mail?.size).toBeGreaterThan(100);
  expect(JSON.stringify(mails)).not.toMatch(/user@|friend@|secret|eyes/);
  await eventually(
    () => mta.logged(({ event, id: logged }) => event === 'deferred' && logged === id).length === 1,
    'the id is the one that the log has',
  );

  const envelope = await show(id);
  expect(envelope).toMatchObject({
    from: `<${user}>`,
    to: '<friend@b.example>',
    purpose: 'Outbound',
    onFailure: 'Dsn',
  });
  expect(JSON.stringify(envelope)).not.toMatch(/secret|eyes/);
  const full = await show(id, '?headers=true');
  expect(full?.headers).toContainEqual(['Subject', 'secret plans']);
  expect(JSON.stringify(full)).not.toContain('eyes');
  expect(await show('nothing')).toBeNull();
  await empty();
});

test('pages follow the order of arrival, and miss nothing that stays', async () => {
  const ids = [await defer('one'), await defer('two'), await defer('three')];
  const first = await list('?limit=2');
  expect(first.mails.map(({ id }) => id)).toEqual(ids.slice(0, 2));
  const second = await list(`?limit=2&after=${first.next}`);
  expect(second.mails.map(({ id }) => id)).toEqual(ids.slice(2));
  expect(second).toMatchObject({ total: 3, next: null });
  await empty();
});

test('R6: retry delivers at once what would have waited; what fails again waits on', async () => {
  const id = await defer('again');
  expect(await order('retry', id)).toEqual([{ id, outcome: 'Done', detail: '' }]);
  await eventually(async () => (await show(id))?.attempts === 2, 'the second attempt has failed');
  await eventually(async () => (await show(id))?.state === 'Deferred', 'it waits again');
  sink.behaviour = {};
  await order('retry', id);
  await eventually(async () => (await show(id)) === null, 'it is gone from the queue');
  expect(sink.mails.filter(({ data }) => data.includes('Subject: again'))).toHaveLength(1);
  expect((await order('retry', id, 'nothing')).map(({ outcome }) => outcome)).toEqual(['Unknown', 'Unknown']);
  await empty();
});

test('G9: held mail waits until it is released, also over a restart, with its last answer, and is counted as queued', async () => {
  const [held, other] = [await defer('held'), await defer('other')];
  expect((await order('hold', held))[0]?.outcome).toBe('Done');
  expect((await order('hold', held))[0]).toMatchObject({ outcome: 'Refused', detail: 'is held already' });
  expect((await order('release', other))[0]).toMatchObject({ outcome: 'Refused', detail: 'is not held' });
  expect((await order('retry', held))[0]).toMatchObject({
    outcome: 'Refused',
    detail: 'is held: release it first',
  });
  const before = await show(held);
  expect(before).toMatchObject({ state: 'Held', nextAttempt: null, attempts: 1 });
  expect(before?.lastAnswer?.text).toContain('4.3.2 not now');
  expect([await gauge('queue_held'), await gauge('queue_messages')]).toEqual([1, 2]);

  sink.behaviour = {};
  expect(await mta.end('SIGTERM')).toBe(0);
  await mta.start();
  expect(await list()).toMatchObject({ total: 2, held: 1 });
  expect(await show(held)).toEqual(before);
  await order('retry', other);
  await eventually(async () => (await list()).total === 1, 'the other one is delivered');
  expect(sink.mails.some(({ data }) => data.includes('Subject: held'))).toBe(false);
  await eventually(async () => (await mta.imbalance()) === 0, 'the books are closed');

  expect((await order('release', held))[0]?.outcome).toBe('Done');
  await eventually(() => sink.mails.some(({ data }) => data.includes('Subject: held')), 'it is delivered');
  await empty();
  expect(await gauge('queue_held')).toBe(0);
});

test('G9, R6: bounce reports mail to its sender as if its time were over, held or not', async () => {
  const before = (await mta.mailbox('a.example', 'user')).length;
  const ids = [await defer('unwanted'), await defer('unwanted too')];
  await order('hold', ids[0] ?? '');
  const expired = (await mta.state()).ledger.expired;
  expect((await order('bounce', ...ids)).map(({ outcome }) => outcome)).toEqual(['Done', 'Done']);
  expect((await list()).total).toBe(0);
  const reports = (await mta.mailbox('a.example', 'user')).slice(before);
  expect(reports).toHaveLength(2);
  for (const report of reports) {
    expect(report).toMatch(/^Subject: unwanted/m);
    expect(report).toMatch(/^Final-Recipient: rfc822; friend@b\.example\nAction: failed\nStatus: 5\.3\.2$/m);
    expect(report).toMatch(/given up by the administrator/);
    expect(report).not.toContain('eyes');
  }
  expect((await mta.state()).ledger.expired).toBe(expired + 2);
  await eventually(async () => (await mta.imbalance()) === 0, 'the books are closed');
});

test('G9: bounce is refused while the failure cannot be reported: the mail stays, and is counted once', async () => {
  const id = await defer('told later');
  const inbox = join(mta.directory, 'mail', 'a.example', 'user');
  const aside = `${inbox}.aside`;
  await rename(inbox, aside);
  await writeFile(inbox, 'where the Maildir should be');
  expect((await order('bounce', id))[0]).toMatchObject({
    outcome: 'Refused',
    detail: 'its failure cannot be reported now, so it stays: see the log',
  });
  expect(await show(id)).toMatchObject({ state: 'Deferred' });
  await rm(inbox);
  await rename(aside, inbox);
  expect((await order('bounce', id))[0]?.outcome).toBe('Done');
  expect((await mta.mailbox('a.example', 'user')).some((mail) => /^Subject: told later/m.test(mail))).toBe(
    true,
  );
  await eventually(async () => (await mta.imbalance()) === 0, 'the books are closed');
});

test('G9: bounce of mail whose sender nobody has proven goes to the ledger, and to nobody else', async () => {
  const avoided = (await mta.state()).ledger.backscatterAvoided;
  const session = await mta.session();
  expect((await session.mail({ to: ['user@forward.example'] })).at(-1)).toMatch(/^250 /);
  await session.close();
  await eventually(async () => (await list()).mails[0]?.state === 'Deferred', 'it waits');
  const id = (await list()).mails[0]?.id ?? '';
  const { ledger } = await mta.state();
  expect((await order('bounce', id))[0]?.outcome).toBe('Done');
  const after = (await mta.state()).ledger;
  expect(after.backscatterAvoided + after.suppressedNdrs).toBe(
    ledger.backscatterAvoided + ledger.suppressedNdrs + 1,
  );
  expect(after.backscatterAvoided).toBeGreaterThanOrEqual(avoided);
  expect((await list()).total).toBe(0);
  await eventually(async () => (await mta.imbalance()) === 0, 'the books are closed');
});

test('an order about mail that is being delivered is refused, and disturbs nothing', async () => {
  const id = await defer('busy');
  const sunk = () => sink.mails.filter(({ data }) => data.includes('Subject: busy')).length;
  sink.behaviour = { delayMs: 4_000 };
  await order('retry', id);
  for (const verb of ['retry', 'hold', 'bounce'])
    expect((await order(verb, id))[0]).toMatchObject({
      outcome: 'Refused',
      detail: 'is being delivered now',
    });
  expect(await show(id)).toMatchObject({ state: 'Active', nextAttempt: null });
  await eventually(async () => (await list()).total === 0, 'it is delivered');
  expect(sunk()).toBe(1);
  sink.behaviour = later;
});

test('the log names the orders by id, and no address', async () => {
  const id = await defer('private matters');
  await order('hold', id);
  await order('release', id);
  await empty();
  await eventually(
    () => mta.logged(({ event }) => event === 'queue').filter((entry) => entry['id'] === id).length >= 2,
    'the orders are in the log',
  );
  for (const entry of mta.logged(({ event }) => event === 'queue'))
    expect(Object.keys(entry).toSorted()).toEqual(['event', 'id', 'level', 'msg', 'time', 'verb']);
  expect(mta.lines.join('\n')).not.toMatch(/private matters|eyes only/);
});
