import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseQueueName } from '../../mta/queue/queue-name.ts';
import { type RunningStandalone, startStandalone } from '../standalone/harness.ts';
import { sendMail } from '../standalone/mail.ts';
import { sampleFiles } from '../standalone/sample.ts';
import { type Sink, startSink } from '../wire/sink.ts';
import { postern } from './run.ts';

let directory = '';
let folder = '';
let sink: Sink;
let standalone: RunningStandalone;

beforeAll(async () => {
  sink = await startSink({ behaviour: { rcpt: () => '451 4.3.2 not now' } });
  directory = await mkdtemp(join(tmpdir(), 'postern-queue-'));
  folder = join(directory, 'policy');
  const files = {
    ...sampleFiles,
    'route.yaml': `apiVersion: postern.dev/v1alpha1
kind: Route
metadata: {name: elsewhere}
spec: {host: 127.0.0.1, port: ${sink.port}}
`,
    'domain.yaml': `${sampleFiles['domain.yaml']}  inboundRouting:
  - {match: External, target: Known, routeRef: {name: elsewhere}, verifyRecipient: None}
`,
  };
  standalone = await startStandalone({ directory, folder, files });
});
afterAll(async () => {
  await standalone?.stop();
  await sink?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const queue = (...args: readonly string[]) =>
  postern('queue', ...args, '-f', folder, '--state', standalone.state);
const json = async (...args: readonly string[]) => {
  const result = await queue(...args, '-o', 'json');
  return { ...result, answer: JSON.parse(result.out) };
};

/** Ids of what is queued, by the names of its files: a look costs no command. */
const ids = async () =>
  (await readdir(join(standalone.state, 'mta', 'default', 'queue'))).flatMap(
    (name) => parseQueueName(name)?.id ?? [],
  );

/** Sends a mail that the Route defers. @returns its id, once it waits. */
async function defer(to: string): Promise<string> {
  const known = new Set(await ids());
  const { deferred } = (await standalone.mtaState()).queue;
  expect(await sendMail(standalone, { client: '127.0.0.2', to, deliver: true })).toMatch(/^250 /);
  return await standalone.eventually('the mail waits', async () =>
    (await standalone.mtaState()).queue.deferred > deferred
      ? (await ids()).find((id) => !known.has(id))
      : undefined,
  );
}

let alice = '';
let bob = '';

it('list and show tell what waits, and whose it is only where one mail is asked for', async () => {
  expect((await queue('list')).out).toBe('The queue is empty.\n');
  alice = await defer('alice@example.com');
  const { out } = await queue('list');
  expect(out).toMatch(/^ID +STATE +AGE +SIZE +TO +BY +TRIED +NEXT +LAST ANSWER$/m);
  expect(out).toMatch(
    new RegExp(
      `^${alice} +Deferred +\\d+s +\\d+ +example\\.com +Route/elsewhere +1 +in 5m +.*4\\.3\\.2 not now`,
      'm',
    ),
  );
  expect(out).not.toMatch(/alice@|bob@|someone@/);

  const shown = await queue('show', alice);
  expect(shown.code).toBe(0);
  expect(shown.out).toMatch(/^From: +<someone@elsewhere\.example>\nTo: +<alice@example\.com>$/m);
  expect(shown.out).not.toContain('Subject');
  const full = await queue('show', alice, '--headers');
  expect(full.out).toMatch(/^Subject: hello$/m);
  expect(full.out).not.toContain('Hello.');
});

it('hold, release and retry: what an administrator does with a Route that was down', async () => {
  bob = await defer('bob@example.com');
  expect(await queue('hold', bob)).toEqual({ code: 0, out: `${bob}  held\n`, err: '' });
  expect((await json('list', '--only', 'Held')).answer.mails).toMatchObject([{ id: bob, nextAttempt: null }]);
  const refused = await queue('retry', bob);
  expect(refused).toMatchObject({ code: 1, out: `${bob}  is held: release it first\n` });

  sink.behaviour = {};
  expect((await json('retry', 'all')).answer).toEqual({
    results: [{ id: alice, outcome: 'Done', detail: '' }],
  });
  await standalone.eventually('alice has hers', async () =>
    sink.mails.find(({ to }) => to[0] === 'alice@example.com'),
  );
  expect((await queue('release', 'all')).out).toBe(`${bob}  released\n`);
  await standalone.eventually('bob has his', async () =>
    sink.mails.find(({ to }) => to[0] === 'bob@example.com'),
  );
  await standalone.eventually('nothing is left', async () => ((await ids()).length === 0 ? true : undefined));
  expect(await queue('retry', 'all')).toEqual({ code: 0, out: 'Nothing to retry.\n', err: '' });
});

it('G9: bounce ends in the ledger, since nobody has proven the sender; nothing can be deleted', async () => {
  sink.behaviour = { rcpt: () => '451 4.3.2 not now' };
  const id = await defer('alice@example.com');
  const before = (await standalone.mtaState()).ledger;
  expect(await queue('bounce', id)).toEqual({ code: 0, out: `${id}  given up\n`, err: '' });
  const after = (await standalone.mtaState()).ledger;
  expect(after.backscatterAvoided).toBe(before.backscatterAvoided + 1);
  expect(after.expired).toBe(before.expired + 1);
  expect(await ids()).toEqual([]);
  expect((await queue('delete', id)).code).toBe(2);
});

it('an id that is not there is misuse, said of each; the others are served all the same', async () => {
  const id = await defer('bob@example.com');
  const held = await queue('hold', id, 'gone.1.1');
  expect(held.code).toBe(2);
  expect(held.out).toBe(`${id}  held\ngone.1.1  is in no queue\n`);
  expect(held.err).toMatch(/^postern: not in the queue: gone\.1\.1; it may have been delivered/);
  expect((await queue('show', 'gone.1.1')).code).toBe(2);
  expect((await queue('bounce', 'all')).out).toBe(`${id}  given up\n`);
});
