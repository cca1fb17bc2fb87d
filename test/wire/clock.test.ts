import { readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { queuePage } from '../../bundle/queue.ts';
import { bundleOf, domainPolicy } from '../../policy/fixture.ts';
import { recordFaults } from '../faults/record.ts';
import { ensureDebianParts } from '../parts/install.ts';
import { eventually } from './eventually.ts';
import { keepUntilTestEnds } from './kept.ts';
import { prepareMta } from './mta-process.ts';
import { route } from './route.ts';
import { startSink } from './sink.ts';
import { message } from './smtp-client.ts';

afterEach(() => recordFaults(2));

const keep = keepUntilTestEnds();
beforeAll(() => ensureDebianParts(['faketime']), 600_000);

/** The library that stands between a process and its clock; Debian keeps it with the machine's other libraries. */
async function fakeClock(): Promise<string> {
  const folders = (await readdir('/usr/lib')).filter((name) => name.endsWith('-linux-gnu'));
  const found = await Promise.all(
    folders.map(async (folder) => {
      const names = await readdir(join('/usr/lib', folder, 'faketime')).catch(() => []);
      return names
        .filter((name) => name.startsWith('libfaketimeMT.so'))
        .map((name) => join('/usr/lib', folder, 'faketime', name));
    }),
  );
  const [library] = found.flat();
  if (library === undefined) throw new Error('no libfaketimeMT.so below /usr/lib/*-linux-gnu/faketime');
  return library;
}

test('X25: a clock that is set two hours forward or back neither retries nor expires nor holds up what waits', async () => {
  const sink = keep(await startSink({ behaviour: { rcpt: () => '451 4.3.0 later' } }));
  const domain = domainPolicy('example.com', { mailbox: { kind: 'Route', route: 'store' } });
  const under: string[] = [];
  const token = 'token of the test';
  const mta = keep(
    await prepareMta({
      bundle: { ...bundleOf([domain]), routes: [route('store', sink.port)] },
      settings: { retryIntervalsSeconds: [3600] },
      token,
      under,
    }),
  );
  const clock = join(mta.directory, 'clock');
  const setClock = async (offset: string) => {
    await writeFile(`${clock}.new`, `${offset}\n`);
    await rename(`${clock}.new`, clock);
  };
  await setClock('+0');
  under.push(
    '/usr/bin/env',
    `LD_PRELOAD=${await fakeClock()}`,
    `FAKETIME_TIMESTAMP_FILE=${clock}`,
    'FAKETIME_NO_CACHE=1',
    'FAKETIME_DONT_FAKE_MONOTONIC=1',
  );
  await mta.start();
  const send = async () => {
    const session = await mta.session();
    expect((await session.mail({ to: ['user@example.com'], data: message({}) })).at(-1)).toMatch(/^250 /);
    await session.close();
  };
  const events = (name: string) => mta.logged(({ event }) => event === name).length;
  /** Minutes until the waiting mails are due, by the true clock. */
  const due = async () => {
    const answer = await mta.get('/queue', { authorization: `Bearer ${token}` });
    const { mails } = queuePage.parse(await answer.json());
    return mails.map(({ nextAttempt }) => Math.round(((nextAttempt ?? 0) - Date.now() / 1000) / 60));
  };
  const areDue = (minutes: number, count: number) =>
    eventually(async () => {
      const found = await due();
      return found.length === count && found.every((each) => Math.abs(each - minutes) <= 2);
    }, `${count} mails are due in about ${minutes} minutes`);

  for (let i = 0; i < 3; i += 1) await send();
  await eventually(() => events('deferred') === 3, 'three mails wait');
  await areDue(60, 3);
  await setClock('+2h');
  await areDue(120 + 60, 3);
  expect(events('deferred')).toBe(3);
  await send();
  await eventually(() => events('deferred') === 4, 'what comes now waits as well');
  await areDue(120 + 60, 4);
  await setClock('-2h');
  await areDue(-120 + 60, 4);
  expect(events('deferred')).toBe(4);
  expect(events('failed')).toBe(0);
  expect((await mta.state()).legs).toMatchObject({ accepted: 4, delivered: 0, bounced: 0, ledger: 0 });
});
