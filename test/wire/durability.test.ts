// What the kernel is asked for, seen by strace: the page cache hides from every other test what a power failure would take.
import { readFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { bundleOf, domainPolicy, rule } from '../../policy/fixture.ts';
import { recordFaults } from '../faults/record.ts';
import { ensureDebianParts } from '../parts/install.ts';
import { eventually } from './eventually.ts';
import { keepUntilTestEnds } from './kept.ts';
import { type MtaProcess, prepareMta } from './mta-process.ts';
import { route } from './route.ts';
import { startSink } from './sink.ts';
import { message } from './smtp-client.ts';

afterEach(() => recordFaults(1));

const keep = keepUntilTestEnds();
beforeAll(() => ensureDebianParts(['strace']), 600_000);

/** A system call: its text, and the lines of the trace on which it began and ended. */
interface Call {
  readonly text: string;
  readonly from: number;
  readonly to: number;
}

/** Reads what strace wrote: a call that another thread's line interrupted is `<unfinished ...>` and then `resumed`. */
function readTrace(trace: string): Call[] {
  const calls: Call[] = [];
  const open = new Map<string, { text: string; from: number }>();
  for (const [line, written] of trace.split('\n').entries()) {
    // Not every machine has the calls without a directory.
    const text = written.replace(/\b(rename|mkdir)at2?\(/, '$1(').replace(/\bAT_FDCWD(?:<[^>]*>)?, /g, '');
    const [, pid = '', rest = ''] = /^(\d+) +(.*)$/.exec(text) ?? [];
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    const begun = open.get(pid);
    if (rest.endsWith('<unfinished ...>'))
      open.set(pid, { text: rest.replace(/ <unfinished \.\.\.>$/, ''), from: line });
    else if (resumed !== null && begun !== undefined) {
      calls.push({ text: `${begun.text}${resumed[1]}`, from: begun.from, to: line });
      open.delete(pid);
    } else calls.push({ text: rest, from: line, to: line });
  }
  return calls;
}

const writes = '(?:p?writev?(?:64)?|sendto|sendmsg)';

/** Starts an MTA whose calls to the kernel are written down. */
async function startTraced(
  options: Parameters<typeof prepareMta>[0],
): Promise<{ mta: MtaProcess; calls: () => Promise<Call[]> }> {
  const under: string[] = [];
  const mta = keep(await prepareMta({ ...options, under }));
  const file = join(mta.directory, 'trace');
  const traced =
    'openat,write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync,?mkdir,?mkdirat,?rename,?renameat,?renameat2';
  // -D: strace is the one that stands aside, so signals and the end of the process are the MTA's own.
  under.push(
    '/usr/bin/strace',
    '-D',
    '-f',
    '-qq',
    '-y',
    '-s',
    '400',
    '-e',
    `trace=${traced}`,
    '-e',
    'signal=none',
    '-o',
    file,
  );
  await mta.start();
  return { mta, calls: async () => readTrace(await readFile(file, 'latin1')) };
}

/** Calls that succeeded, in the order in which they ended. @throws Error if one of them is missing. */
function inOrder(calls: readonly Call[], steps: readonly [what: string, pattern: RegExp][]): void {
  let after = -1;
  for (const [what, pattern] of steps) {
    const call = calls.find(({ text, from }) => from > after && pattern.test(text));
    const seen = calls.map(({ text }) => text).join('\n');
    if (call === undefined)
      throw new Error(`not after line ${after} of the trace: ${what} (${pattern})\n${seen}`);
    after = call.to;
  }
}

const quoted = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

const accepted: [string, RegExp] = [
  'the answer to the client',
  new RegExp(`^${writes}\\(\\d+<(?:socket|TCP)\\b.*"250 2\\.0\\.0 .* = \\d+$`),
];

/** Sends one mail. @returns what the kernel was asked for until its sender had the answer. */
async function traceOf(mta: MtaProcess, calls: () => Promise<Call[]>, data: string): Promise<Call[]> {
  const session = await mta.session();
  const replies = await session.mail({ to: ['user@example.com'], data });
  expect(replies.at(-1)).toMatch(/^250 2\.0\.0 /);
  await eventually(
    async () => (await calls()).some(({ text }) => accepted[1].test(text)),
    'the trace has the answer',
  );
  return calls();
}

interface Rename {
  readonly from: string;
  readonly to: string;
}

/** What became visible by a rename: files of the queue and of mailboxes. */
function publishedIn(trace: readonly Call[], mta: MtaProcess): Rename[] {
  const renames = trace.flatMap(({ text }) => {
    const [, from, to] = /^rename\("([^"]+)", "([^"]+)"\) += 0$/.exec(text) ?? [];
    return from !== undefined && to?.startsWith(mta.directory) ? [{ from, to }] : [];
  });
  return renames.filter(
    ({ from, to }) => basename(from).startsWith('__tmp__') || to.includes('/Maildir/new/'),
  );
}

const of = (path: string) => `\\(\\d+<${quoted(path)}>`;

/** A file that is safe: each write to it returns when the disk has it, as if fdatasync came after it. */
const safelyRenamed = ({ from, to }: Rename): [string, RegExp][] => [
  ['the open with O_DSYNC', new RegExp(`^openat\\("${quoted(from)}", [A-Z_|]*\\bO_DSYNC\\b.* = \\d+`)],
  ['the write', new RegExp(`^${writes}${of(from)}.* = [1-9]\\d*$`)],
  ['the rename', new RegExp(`^rename\\("${quoted(from)}", "${quoted(to)}"\\) += 0$`)],
  ['fsync of its directory', new RegExp(`^fsync${of(dirname(to))}\\) += 0$`)],
];

const inRouteAndMailbox = (port: number) => {
  const rules = {
    maxMessageBytes: 10_000_000,
    inboundRouting: [rule({ route: 'archive', alsoDeliverLocally: true })],
  };
  return { ...bundleOf([domainPolicy('example.com', rules)]), routes: [route('archive', port)] };
};

test('X13: a message is written to the disk before 250: in the journal, and in the mailbox renamed and its directory fsynced', async () => {
  await using sink = await startSink();
  const { mta, calls } = await startTraced({ bundle: inRouteAndMailbox(sink.port) });
  const trace = await traceOf(mta, calls, message({}));
  const published = publishedIn(trace, mta);
  expect(published.map(({ to }) => relative(mta.directory, dirname(to)))).toEqual([
    'mail/example.com/user/Maildir/new',
  ]);
  for (const file of published) inOrder(trace, [...safelyRenamed(file), accepted]);
  const journal = `${quoted(mta.journalDirectory)}/\\d+\\.journal`;
  inOrder(trace, [
    ['the open with O_DSYNC', new RegExp(`^openat\\("${journal}", [A-Z_|]*\\bO_DSYNC\\b.* = \\d+`)],
    ['fsync of its directory', new RegExp(`^fsync${of(mta.journalDirectory)}\\) += 0$`)],
    ['the write', new RegExp(`^${writes}\\(\\d+<${journal}>.* = [1-9]\\d*$`)],
    accepted,
  ]);
  // The mailbox is new: so are directories, and a mail in a directory that nobody finds is lost too.
  const made = trace.flatMap(({ text }) => {
    const [, path] = /^mkdir\("([^"]+)", \d+\) += 0$/.exec(text) ?? [];
    return path?.startsWith(join(mta.directory, 'mail', 'example.com')) ? [path] : [];
  });
  expect(made).toContain(join(mta.directory, 'mail/example.com/user/Maildir/new'));
  for (const path of made)
    inOrder(trace, [
      ['mkdir', new RegExp(`^mkdir\\("${quoted(path)}", \\d+\\) += 0$`)],
      ['fsync of its parent', new RegExp(`^fsync\\(\\d+<${quoted(dirname(path))}>\\) += 0$`)],
      accepted,
    ]);
});

test('X13: each file of a message that is too large for the journal is written, renamed and its directory fsynced before 250', async () => {
  await using sink = await startSink();
  const { mta, calls } = await startTraced({ bundle: inRouteAndMailbox(sink.port) });
  const trace = await traceOf(mta, calls, message({ body: `${'x'.repeat(70)}\r\n`.repeat(20_000) }));
  const published = publishedIn(trace, mta);
  expect(published.map(({ to }) => relative(mta.directory, dirname(to))).toSorted()).toEqual([
    'mail/example.com/user/Maildir/new',
    'queue',
  ]);
  for (const file of published) inOrder(trace, [...safelyRenamed(file), accepted]);
});

test('X13: mail that is put off has a file that is on the disk before the journal lets go of it', async () => {
  await using sink = await startSink({ behaviour: { mail: () => '451 4.3.0 later' } });
  const { mta, calls } = await startTraced({ bundle: inRouteAndMailbox(sink.port) });
  await traceOf(mta, calls, message({}));
  const released: [string, RegExp] = [
    'the mark in the journal',
    new RegExp(
      `^p?write(?:64)?\\(\\d+<${quoted(mta.journalDirectory)}/\\d+\\.journal>, "\\\\0", 1, \\d+\\) += 1$`,
    ),
  ];
  await eventually(
    async () => (await calls()).some(({ text }) => released[1].test(text)),
    'the journal has let go of it',
  );
  const trace = await calls();
  const filed = publishedIn(trace, mta).filter(({ to }) => dirname(to) === mta.queueDirectory);
  expect(filed).toHaveLength(1);
  for (const file of filed) inOrder(trace, [...safelyRenamed(file), released]);
});
