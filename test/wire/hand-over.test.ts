// The end of a pod: what waits in its queue goes to another pod of the MTA, or stays where it is.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type QueuedMail, queuePage } from '../../bundle/queue.ts';
import { bundleOf, domainPolicy } from '../../policy/fixture.ts';
import { recordFaults } from '../faults/record.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { route } from './route.ts';
import { type Sink, startSink } from './sink.ts';
import { message } from './smtp-client.ts';

afterEach(() => recordFaults(1));

const token = 'open sesame';
const later = { mail: () => '451 4.3.0 later' };

let sink: Sink;
let folder: string;
const running: MtaProcess[] = [];

beforeEach(async () => {
  sink = await startSink({ behaviour: later });
  folder = await mkdtemp(join(tmpdir(), 'postern-hand-over-'));
});
afterEach(async () => {
  for (const mta of running.splice(0)) await mta[Symbol.asyncDispose]();
  await sink[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** A pod that gives its mail to these when it ends, and says in the file `end` what stays. */
async function start(...peers: { host: string; port: number }[]): Promise<MtaProcess> {
  const names = peers.map(({ host, port }) => `${host}:${port}`).join(',');
  const mta = await startMta({
    bundle: {
      ...bundleOf([domainPolicy('a.example', { mailbox: { kind: 'Route', route: 'store' } })]),
      routes: [route('store', sink.port)],
    },
    // Nobody waits so long: what moves in these tests moves because it was told to.
    settings: { retryIntervalsSeconds: [3600], maxMessageBytes: 65_536 },
    token,
    args: [
      ...['--termination-log', join(folder, 'end'), '--grace-seconds', '5'],
      ...(names === '' ? [] : ['--hand-over-to', names]),
    ],
  });
  running.push(mta);
  return mta;
}

const left = async (): Promise<unknown> => JSON.parse(await readFile(join(folder, 'end'), 'utf8'));
const authorization = `Bearer ${token}`;

async function queueOf(mta: MtaProcess): Promise<readonly QueuedMail[]> {
  const answer = await mta.get('/queue', { authorization });
  return queuePage.parse(await answer.json()).mails;
}

async function send(mta: MtaProcess, subject: string): Promise<void> {
  const session = await mta.session();
  const replies = await session.mail({ to: ['user@a.example'], data: message({ subject }) });
  expect(replies.at(-1)).toMatch(/^250 /);
}

/** Sends mails that the Route puts off. @returns the queue, once all wait. */
async function defer(mta: MtaProcess, subjects: readonly string[]): Promise<readonly QueuedMail[]> {
  for (const subject of subjects) await send(mta, subject);
  await eventually(async () => {
    const mails = await queueOf(mta);
    return mails.length === subjects.length && mails.every(({ state }) => state === 'Deferred');
  }, 'all mails wait for their next attempt');
  return queueOf(mta);
}

async function order(mta: MtaProcess, verb: string, ids: readonly string[]): Promise<void> {
  const { host, port } = mta.address('http');
  const url = `http://${host}:${port}/queue/${ids.join(',')}/${verb}`;
  expect((await fetch(url, { method: 'POST', headers: { authorization } })).status).toBe(200);
}

const put = async (mta: MtaProcess, file: string, body: Uint8Array, bearer = authorization, more = {}) => {
  const { host, port } = mta.address('http');
  const url = `http://${host}:${port}/queue/${file}`;
  const headers = { authorization: bearer, ...more };
  return (await fetch(url, { method: 'PUT', headers, body: new Uint8Array(body) })).status;
};

const subjects = Array.from({ length: 25 }, (_, number) => `waiting ${number}`);
const arrived = () => sink.mails.map(({ data }) => /^Subject: (.*)\r$/m.exec(data)?.[1]).sort();

test('X12: a pod that ends gives what waits to another: with its id, its attempts and its time, held mail held; each is delivered once', async () => {
  const staying = await start();
  const leaving = await start(staying.address('http'));
  const before = await defer(leaving, subjects);
  const [first] = before;
  if (first === undefined) throw new Error('nothing waits');
  await order(leaving, 'hold', [first.id]);
  expect(await leaving.end('SIGTERM')).toBe(0);
  expect(await left()).toEqual({ queued: 0 });
  expect(await leaving.queued()).toEqual([]);

  const after = await queueOf(staying);
  const told = ({ id, arrived: at, size, attempts, domain, destination, lastAnswer }: QueuedMail) => ({
    ...{ id, at, size, attempts, domain, destination, lastAnswer },
  });
  expect(first.lastAnswer?.text).toContain('4.3.0 later');
  expect(after.map(told)).toEqual(before.map(told));
  expect(after.find(({ id }) => id === first.id)?.state).toBe('Held');
  for (const { id, nextAttempt } of before.filter((mail) => mail !== first)) {
    const shift = Number(after.find((mail) => mail.id === id)?.nextAttempt) - Number(nextAttempt);
    // A timer is set some milliseconds after the moment that the name of the file tells: that may be another second.
    expect(Math.abs(shift), `seconds by which the next attempt of ${id} has moved`).toBeLessThanOrEqual(1);
  }

  sink.behaviour = {};
  const others = after.map(({ id }) => id).filter((id) => id !== first.id);
  await order(staying, 'release', [first.id]);
  await order(staying, 'retry', others);
  await eventually(async () => (await queueOf(staying)).length === 0, 'the queue is empty');
  expect(arrived()).toEqual([...subjects].sort());
});

test('X12: mail that comes while a pod ends is handed over as well', async () => {
  const staying = await start();
  const leaving = await start(staying.address('http'));
  await defer(leaving, subjects.slice(0, 3));
  const session = await leaving.session();
  await session.send('MAIL FROM:<sender@elsewhere.example>');
  await session.send('RCPT TO:<user@a.example>');
  expect(await session.send('DATA')).toMatch(/^354 /);
  leaving.signal('SIGTERM');
  await eventually(async () => (await queueOf(staying)).length === 3, 'the first mails are handed over');
  session.write(`${message({ subject: 'last words' })}.\r\n`);
  expect(await session.reply()).toMatch(/^250 /);
  expect(await leaving.ended()).toBe(0);
  expect(await left()).toEqual({ queued: 0 });
  expect(await queueOf(staying)).toHaveLength(4);
});

test('X12: a pod that is told no, or nothing, keeps its mail, and says how much', async () => {
  const closed = await start();
  const { host, port } = closed.address('http');
  await closed.end('SIGKILL');
  const leaving = await start({ host, port });
  await defer(leaving, subjects.slice(0, 3));
  expect(await leaving.end('SIGTERM')).toBe(0);
  expect(await left()).toEqual({ queued: 3 });
  expect((await leaving.queued()).filter((name) => /^\d/.test(name))).toHaveLength(3);

  sink.behaviour = {};
  await leaving.start();
  const mails = await queueOf(leaving);
  expect(mails).toHaveLength(3);
  await order(
    leaving,
    'retry',
    mails.map(({ id }) => id),
  );
  await eventually(() => sink.mails.length === 3, 'they are delivered when it is back');
});

test('X12: what is no mail of this MTA is not taken, and one mail that is offered twice is taken once', async () => {
  const mta = await start();
  const other = await start();
  await defer(other, ['twice']);
  const [file = ''] = (await other.queued()).filter((name) => /^\d/.test(name));
  const bytes = await readFile(join(other.queueDirectory, file));

  expect(await put(mta, file, bytes, 'Bearer open sesam')).toBe(401);
  expect(await put(mta, 'x', bytes)).toBe(400);
  expect(await put(mta, '..%2f..%2fetc%2fpasswd', bytes)).toBe(400);
  expect(await put(mta, file, bytes.subarray(0, 40))).toBe(422);
  expect(await put(mta, file, Buffer.from('hello'))).toBe(422);
  expect(await put(mta, file, Buffer.alloc(2_000_000))).toBe(413);
  expect(await queueOf(mta)).toEqual([]);
  expect((await mta.queued()).filter((name) => name.includes('__tmp__'))).toEqual([]);

  expect(await Promise.all([put(mta, file, bytes), put(mta, file, bytes)])).toEqual([200, 200]);
  expect(await put(mta, file, bytes)).toBe(200);
  expect(await queueOf(mta)).toHaveLength(1);
});

test('what another pod says of the last answer is taken if it is one, and the mail is taken anyway', async () => {
  const mta = await start();
  const other = await start();
  const lines = [
    '{"at": 7, "text": "451 <jane@b.example> later"}',
    '{"at": 7, "text": "',
    '[]',
    `{"at": 7, "text": "${'x'.repeat(301)}"}`,
  ];
  await defer(other, subjects.slice(0, lines.length));
  const files = (await other.queued()).filter((name) => /^\d/.test(name));
  for (const [position, line] of lines.entries()) {
    const [file = ''] = files.slice(position);
    const bytes = await readFile(join(other.queueDirectory, file));
    expect(await put(mta, file, bytes, authorization, { 'postern-last-answer': line })).toBe(200);
  }
  const answers = (await queueOf(mta)).map(({ lastAnswer }) => lastAnswer);
  expect(answers).toHaveLength(lines.length);
  expect(answers.filter((answer) => answer !== null)).toEqual([{ at: 7, text: '451 <*@b.example> later' }]);
});
