// Mail between its acceptance and the end of its first attempt has no file: it lies in the journal alone.
import { readdir, readFile, writeFile } from 'node:fs/promises';
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

const subjects = Array.from({ length: 12 }, (_, number) => `first attempt ${number}`);

const token = 'open sesame';
const authorization = `Bearer ${token}`;

let sink: Sink;
let mta: MtaProcess;
/** Lets the Route answer. */
let open: () => void;
beforeEach(async () => {
  const closed = Promise.withResolvers<void>();
  open = closed.resolve;
  sink = await startSink({
    behaviour: {
      mail: async () => {
        await closed.promise;
        return undefined;
      },
    },
  });
  // One at a time: all others wait for a place.
  const store = route('store', sink.port, { connection: { maxConcurrent: 1, timeoutSeconds: 60 } });
  mta = await startMta({
    bundle: {
      ...bundleOf([
        domainPolicy('example.com', {
          maxMessageBytes: 2_000_000,
          mailbox: { kind: 'Route', route: 'store' },
        }),
      ]),
      routes: [store],
    },
    token,
    args: ['--grace-seconds', '1'],
  });
  for (const subject of subjects) {
    const session = await mta.session();
    const replies = await session.mail({ to: ['user@example.com'], data: message({ subject }) });
    expect(replies.at(-1)).toMatch(/^250 /);
    session.destroy();
  }
});
afterEach(async () => {
  open();
  await mta[Symbol.asyncDispose]();
  await sink[Symbol.asyncDispose]();
});

const files = async () => (await readdir(mta.queueDirectory)).filter((name) => /^\d/.test(name));
const arrived = () => sink.mails.map(({ data }) => /^Subject: (.*)\r$/m.exec(data)?.[1]).sort();
const all = [...subjects].sort();

async function queueOf(): Promise<readonly QueuedMail[]> {
  return queuePage.parse(await (await mta.get('/queue', { authorization })).json()).mails;
}

test('X11: SIGKILL costs nothing of what lies in the journal alone: the next process delivers it once', async () => {
  expect(await files()).toEqual([]);
  expect(await mta.journalled()).toHaveLength(subjects.length);
  await mta.end('SIGKILL');
  open();
  await mta.start();
  await eventually(() => sink.mails.length >= subjects.length, 'all of it arrives');
  await eventually(async () => (await mta.queued()).length === 0, 'nothing is left');
  expect(arrived()).toEqual(all);
  recordFaults(1);
});

test('X11: a damaged journal costs the damaged mail alone, and the log tells of it', async () => {
  await mta.end('SIGKILL');
  const [segment = ''] = await readdir(mta.journalDirectory);
  const path = join(mta.journalDirectory, segment);
  const bytes = await readFile(path);
  bytes.write('FIRST', bytes.indexOf('first attempt 3'));
  await writeFile(path, bytes);
  open();
  await mta.start();
  await eventually(() => sink.mails.length >= subjects.length - 1, 'all others arrive');
  expect(arrived()).toEqual(all.filter((subject) => subject !== 'first attempt 3'));
  const told = mta.logged(({ event }) => event === 'queue');
  expect(told.map(({ level, problem }) => [level, problem])).toEqual([
    ['error', expect.stringMatching(/octets are no mail/)],
  ]);
  recordFaults(1);
});

test('X12: a graceful stop leaves files, and nothing in the journal', async () => {
  await mta.end('SIGTERM');
  expect(await readdir(mta.journalDirectory)).toEqual([]);
  // The one that was being delivered was cut off: nobody knows, so it stays too.
  expect(await files()).toHaveLength(subjects.length);
  open();
  await mta.start();
  await eventually(async () => (await mta.queued()).length === 0, 'all of it leaves');
  expect([...new Set(arrived())]).toEqual(all);
  recordFaults(1);
});

test('whoever looks at the queue sees it, and orders are carried out', async () => {
  const mails = await queueOf();
  expect(mails).toHaveLength(subjects.length);
  // One is with the Route.
  const waiting = mails.filter(({ state }) => state === 'Deferred');
  expect(waiting).toHaveLength(subjects.length - 1);
  const [first] = waiting;
  if (first === undefined) throw new Error('nothing waits');
  const { host, port } = mta.address('http');
  const held = await fetch(`http://${host}:${port}/queue/${first.id}/hold`, {
    method: 'POST',
    headers: { authorization },
  });
  expect(await held.json()).toMatchObject({ results: [{ id: first.id, outcome: 'Done' }] });
  open();
  await eventually(async () => (await queueOf()).length === 1, 'all others leave');
  expect((await queueOf()).map(({ id, state }) => [id, state])).toEqual([[first.id, 'Held']]);
  expect(sink.mails).toHaveLength(subjects.length - 1);
});

test('what is more than may lie in memory has files from the start, and leaves as well', async () => {
  const body = `${'x'.repeat(998)}\r\n`.repeat(1_000);
  const session = await mta.session();
  for (let number = 0; number < 36; number += 1) {
    const data = message({ subject: `large ${number}`, body });
    expect((await session.mail({ to: ['user@example.com'], data })).at(-1)).toMatch(/^250 /);
  }
  expect((await files()).length).toBeGreaterThanOrEqual(3);
  expect((await mta.journalled()).length).toBeGreaterThanOrEqual(30);
  open();
  await eventually(async () => (await mta.queued()).length === 0, 'all of it leaves');
  expect(sink.mails).toHaveLength(subjects.length + 36);
});
