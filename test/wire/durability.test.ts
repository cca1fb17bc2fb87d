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

test('X13: each file of a message is written to the disk, renamed and its directory fsynced before 250: in the queue and in the mailbox', async () => {
  await using sink = await startSink();
  const archive = route('archive', sink.port);
  const domain = domainPolicy('example.com', {
    inboundRouting: [rule({ route: 'archive', alsoDeliverLocally: true })],
  });
  const { mta, calls } = await startTraced({ bundle: { ...bundleOf([domain]), routes: [archive] } });
  const session = await mta.session();
  const replies = await session.mail({ to: ['user@example.com'], data: message({}) });
  expect(replies.at(-1)).toMatch(/^250 2\.0\.0 /);
  const accepted: [string, RegExp] = [
    'the answer to the client',
    new RegExp(`^${writes}\\(\\d+<(?:socket|TCP)\\b.*"250 2\\.0\\.0 .* = \\d+$`),
  ];
  await eventually(
    async () => (await calls()).some(({ text }) => accepted[1].test(text)),
    'the trace has the answer',
  );

  const trace = await calls();
  const renames = trace.flatMap(({ text }) => {
    const [, from, to] = /^rename\("([^"]+)", "([^"]+)"\) += 0$/.exec(text) ?? [];
    return from !== undefined && to?.startsWith(mta.directory) ? [{ from, to }] : [];
  });
  const published = renames.filter(
    ({ from, to }) => basename(from).startsWith('__tmp__') || to.includes('/Maildir/new/'),
  );
  expect(published.map(({ to }) => relative(mta.directory, dirname(to))).toSorted()).toEqual([
    'mail/example.com/user/Maildir/new',
    'queue',
  ]);
  for (const { from, to } of published) {
    const of = (path: string) => `\\(\\d+<${quoted(path)}>`;
    inOrder(trace, [
      // Each write to it returns when the disk has it: as if fdatasync came after it.
      ['the open with O_DSYNC', new RegExp(`^openat\\("${quoted(from)}", [A-Z_|]*\\bO_DSYNC\\b.* = \\d+`)],
      ['the write', new RegExp(`^${writes}${of(from)}.* = [1-9]\\d*$`)],
      ['the rename', new RegExp(`^rename\\("${quoted(from)}", "${quoted(to)}"\\) += 0$`)],
      ['fsync of its directory', new RegExp(`^fsync${of(dirname(to))}\\) += 0$`)],
      accepted,
    ]);
  }
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
