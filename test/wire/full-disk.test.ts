import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bundleOf, domainPolicy } from '../../policy/fixture.ts';
import { recordFaults } from '../faults/record.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { route } from './route.ts';
import { type Sink, startSink } from './sink.ts';
import { message } from './smtp-client.ts';

const run = promisify(execFile);
const root = process.getuid?.() === 0;

let directory: string;
/** Where queue and journal lie. */
let volume: string;
let mta: MtaProcess;
let sink: Sink;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-disk-'));
  volume = join(directory, 'volume');
  await mkdir(volume);
  sink = await startSink();
});
afterEach(async () => {
  await mta[Symbol.asyncDispose]();
  await sink[Symbol.asyncDispose]();
  if (root) await run('umount', [volume]).catch(() => undefined);
  await rm(directory, { recursive: true, force: true });
});

const start = async () => {
  const store = route('store', sink.port, {
    tls: { mode: 'Disabled', verify: 'None' },
    connection: { maxConcurrent: 5, timeoutSeconds: 20 },
  });
  const domain = domainPolicy('example.com', {
    maxMessageBytes: 10_000_000,
    mailbox: { kind: 'Route', route: 'store' },
  });
  mta = await startMta({ bundle: { ...bundleOf([domain]), routes: [store] }, queue: join(volume, 'queue') });
};

/** Sends one mail; the reply at the end of its data. */
async function sendOne(bytes = 0): Promise<string | undefined> {
  const session = await mta.session();
  const body = 'x'
    .repeat(70)
    .concat('\r\n')
    .repeat(Math.ceil(bytes / 72) + 1);
  return (await session.mail({ to: ['user@example.com', 'info@example.com'], data: message({ body }) })).at(
    -1,
  );
}

/** Mail in the queue, without the probe that asks whether it is writable. */
const files = async () => (await mta.queued()).filter((name) => !name.includes('writable'));

const readyReason = async () => (await mta.state()).readyReason;

/** Makes queue and journal refuse more mail; returns how to mend it. Root is not stopped by permissions, but may mount a small disk. */
async function fill(): Promise<() => Promise<unknown>> {
  if (!root) {
    const folders = [mta.queueDirectory, mta.journalDirectory];
    for (const folder of folders) await chmod(folder, 0o500);
    return () => Promise.all(folders.map((folder) => chmod(folder, 0o700)));
  }
  const filler = join(volume, 'filler');
  await writeFile(filler, Buffer.alloc(2_097_152)).catch(() => undefined);
  return () => rm(filler);
}

test('X14: a full or read-only queue gives 451, never 550 or 250; readiness falls, and all is well again without a restart', async () => {
  if (root) await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', volume]);
  await start();
  expect(await sendOne()).toMatch(/^250 /);
  await eventually(async () => (await files()).length === 0, 'delivered while there is room');
  expect(sink.mails).toHaveLength(2);
  const mend = await fill();
  for (let i = 0; i < 3; i += 1) expect(await sendOne(100_000)).toMatch(/^45[12] 4\.3\.0 .*\(ref /);
  await eventually(async () => (await readyReason()) === 'QueueNotWritable', 'readiness falls');
  await mend();
  await eventually(async () => (await readyReason()) === 'Ready', 'readiness returns');
  expect(await sendOne(100_000)).toMatch(/^250 /);
  await eventually(() => sink.mails.length === 4, 'exactly the accepted mail was delivered');
  recordFaults(1);
});

test('X14: a message that is too large for what is left leaves nothing behind', async () => {
  if (root) await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', volume]);
  await start();
  const mend = root ? async () => undefined : await fill();
  // Two legs of 600 kB: one would fit.
  expect(await sendOne(600_000)).toMatch(/^45[12] 4\.3\.0 /);
  await mend();
  expect(await files()).toEqual([]);
  expect(await sendOne()).toMatch(/^250 /);
  await eventually(() => sink.mails.length === 2, 'delivered');
  recordFaults(1);
});

test('X14: what a killed process has left is delivered although the disk is full, and makes room', async () => {
  if (root) await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', volume]);
  const closed = Promise.withResolvers<undefined>();
  sink.behaviour = { mail: () => closed.promise };
  await start();
  expect(await sendOne(100_000)).toMatch(/^250 /);
  await mta.end('SIGKILL');
  const mend = await fill();
  sink.behaviour = {};
  await mta.start();
  await eventually(() => sink.mails.length === 2, 'delivered');
  await eventually(async () => (await files()).length === 0, 'nothing is left');
  closed.resolve(undefined);
  await mend();
  recordFaults(1);
});

test('X14: of what comes at the same time, the mail that was answered 250 is delivered, and none other, also after a kill', async () => {
  if (root) await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', volume]);
  const closed = Promise.withResolvers<undefined>();
  sink.behaviour = { mail: () => closed.promise };
  await start();
  expect(await sendOne()).toMatch(/^250 /);
  // Room for some of the following.
  const filler = join(volume, 'filler');
  if (root) await writeFile(filler, Buffer.alloc(700_000));
  const subjects = Array.from({ length: 12 }, (_, number) => `at once ${number}`);
  const sessions = await Promise.all(subjects.map(() => mta.session()));
  const replies = await Promise.all(
    subjects.map(async (subject, index) => {
      const data = message({ subject, body: `${'x'.repeat(998)}\r\n`.repeat(60) });
      return (await sessions[index]?.mail({ to: ['user@example.com'], data }))?.at(-1) ?? '';
    }),
  );
  const accepted = subjects.filter((_, index) => replies[index]?.startsWith('250'));
  if (root) expect(accepted.length).toBeLessThan(subjects.length);
  await mta.end('SIGKILL');
  await rm(filler, { force: true });
  sink.behaviour = {};
  await mta.start();
  await eventually(async () => (await files()).length === 0, 'nothing is left');
  const arrived = sink.mails.flatMap(({ data }) => /^Subject: (at once \d+)\r$/m.exec(data)?.[1] ?? []);
  expect(arrived.toSorted()).toEqual(accepted.toSorted());
  closed.resolve(undefined);
  recordFaults(1);
});

test('X14: a queue that is gone gives 451', async () => {
  await start();
  expect(await sendOne()).toMatch(/^250 /);
  const folders = [mta.queueDirectory, mta.journalDirectory];
  for (const folder of folders) await rm(folder, { recursive: true });
  expect(await sendOne()).toMatch(/^45[12] 4\.3\.0 /);
  for (const folder of folders) await mkdir(folder);
  expect(await sendOne()).toMatch(/^250 /);
  recordFaults(1);
});
