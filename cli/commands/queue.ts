import { Command, Option } from 'commander';
import { type QueueVerb, queueVerbs } from '../../bundle/queue.ts';
import { answerNo, Misuse } from '../failure.ts';
import { askAll, findMtas } from '../mtas.ts';
import { type Format, formatTable, outputOption, printAnswer } from '../output.ts';
import { give, listQueue, type PodMail, type PodResult, type ShownMail, showMail } from '../queue/ask.ts';
import type { Shell } from '../shell.ts';
import { addSource, requireSource, type SourceFlags } from '../source.ts';

interface QueueFlags extends SourceFlags {
  readonly pod?: string;
  readonly output: Format;
}

interface ListFlags extends QueueFlags {
  readonly only?: PodMail['state'];
}

interface ShowFlags extends QueueFlags {
  readonly headers?: true;
}

const examples = `
Examples:
  postern queue list -n mail
  postern queue list -n mail --only Held -o json
  postern queue show 0E3B4F2C-8A1D-4C55-9F10-6B7A2D9E1C33.1.1 -n mail --headers
  postern queue retry all -n mail
  postern queue hold 0E3B4F2C-8A1D-4C55-9F10-6B7A2D9E1C33.1.1 -n mail
  postern queue release all -n mail --pod mail-postern-tenant-0
  postern queue bounce 0E3B4F2C-8A1D-4C55-9F10-6B7A2D9E1C33.1.1 -n mail

One line is one recipient on its way to one destination; its ID is the \`id\` in the log of the MTA.
Who knows Postfix: list is postqueue -p, retry -i and -f; hold, release and bounce are postsuper -h, -H and -f (-e).
There is no delete (-d): what was accepted is delivered, or its sender is told, or the ledger counts it.
The exit code is 1 if an order was refused (mail that is being delivered now takes none), 2 if an ID is unknown.`;

const descriptions: Readonly<Record<QueueVerb, string>> = {
  retry: 'Begin the next attempt now.',
  hold: 'Make no attempt until it is released; a restart of the MTA does not release it.',
  release: 'End a hold, and begin the next attempt now.',
  bounce: 'Give up, as if the time of the mail were over: a report to its sender, or an entry of the ledger.',
};

/** `postern queue`: what is on its way out, and orders about it. */
export function queueCommand(shell: Shell): Command {
  const list = new Command('list')
    .description('List what is queued, oldest first.')
    .addOption(new Option('--only <state>', 'what is in this state').choices(['Active', 'Deferred', 'Held']))
    .action((flags: ListFlags) => printList(shell, flags));
  const show = new Command('show')
    .description('Show the envelope of one mail; never its body.')
    .argument('<id>', 'as in the list')
    .option('--headers', 'the header fields of the message too')
    .action((id: string, flags: ShowFlags) => printMail(shell, id, flags));
  const orders = queueVerbs.map((verb) =>
    new Command(verb)
      .description(descriptions[verb])
      .argument('<id...>', 'as in the list, or `all`')
      .action((ids: readonly string[], flags: QueueFlags) => giveOrder(shell, verb, ids, flags)),
  );
  const queue = new Command('queue')
    .description('List the mail that waits to be delivered, and retry, hold, release or bounce it.')
    .addHelpText('after', examples);
  for (const command of [list, show, ...orders]) {
    queue.addCommand(
      addSource(command)
        .addOption(new Option('--pod <name>', 'with -n: this MTA pod only'))
        .addOption(outputOption()),
    );
  }
  return queue;
}

async function printList(shell: Shell, flags: ListFlags): Promise<void> {
  const mtas = await findMtas(shell, requireSource(flags), flags.pod);
  const all = (await askAll(shell, mtas, listQueue)).flat();
  const mails = all
    .filter(({ state }) => flags.only === undefined || state === flags.only)
    .toSorted((left, right) => left.arrived - right.arrived);
  printAnswer(shell, flags.output, { mails }, () => tableOf(mails, shell.now()));
}

function tableOf(mails: readonly PodMail[], now: number): string {
  if (mails.length === 0) return 'The queue is empty.';
  const withPod = mails.some(({ pod }) => pod !== undefined);
  return formatTable(
    [...(withPod ? ['POD'] : []), 'ID', 'STATE', 'AGE', 'SIZE', 'TO', 'BY', 'TRIED', 'NEXT', 'LAST ANSWER'],
    mails.map((mail) => [
      ...(withPod ? [mail.pod ?? ''] : []),
      mail.id,
      mail.state,
      span(now / 1000 - mail.arrived),
      String(mail.size),
      mail.recipientDomain,
      mail.destination ?? '?',
      String(mail.attempts),
      mail.nextAttempt === null ? '-' : `in ${span(mail.nextAttempt - now / 1000)}`,
      mail.lastAnswer?.text ?? '-',
    ]),
  );
}

async function printMail(shell: Shell, id: string, flags: ShowFlags): Promise<void> {
  checkIds([id]);
  const mtas = await findMtas(shell, requireSource(flags), flags.pod);
  const answers = await askAll(shell, mtas, (mta) => showMail(mta, id, flags.headers === true));
  const mail = answers.find((answer) => answer !== undefined);
  if (mail === undefined) throw new Misuse(unknown([id]));
  printAnswer(shell, flags.output, mail, () => describeMail(mail));
}

function describeMail(mail: ShownMail): string {
  const time = (seconds: number) => new Date(seconds * 1000).toISOString();
  const rows = [
    ...(mail.pod === undefined ? [] : [['Pod', mail.pod]]),
    ['ID', mail.id],
    ['State', mail.state],
    ['From', mail.from],
    ['To', mail.to],
    ['For', mail.domain ?? '?'],
    ['By', mail.destination ?? '?'],
    [
      'Purpose',
      `${mail.purpose ?? '?'}, a failure goes to the ${mail.onFailure === 'Dsn' ? 'sender' : 'ledger'}`,
    ],
    ['Size', `${mail.size} octets`],
    ['Arrived', time(mail.arrived)],
    ['Attempts', String(mail.attempts)],
    ['Next', mail.nextAttempt === null ? '-' : time(mail.nextAttempt)],
    ['Last answer', mail.lastAnswer === null ? '-' : `${time(mail.lastAnswer.at)} ${mail.lastAnswer.text}`],
  ];
  const width = Math.max(...rows.map(([name = '']) => name.length)) + 2;
  const lines = rows.map(([name = '', value = '']) => `${`${name}:`.padEnd(width)}${printable(value)}`);
  const headers = mail.headers?.map(([name, value]) => printable(`${name}: ${value}`)) ?? [];
  return [...lines, ...(headers.length > 0 ? ['', ...headers] : [])].join('\n');
}

async function giveOrder(
  shell: Shell,
  verb: QueueVerb,
  ids: readonly string[],
  flags: QueueFlags,
): Promise<void> {
  const all = ids.includes('all');
  if (all && ids.length > 1) throw new Misuse('`all` stands alone: name IDs, or all of them');
  checkIds(ids);
  const mtas = await findMtas(shell, requireSource(flags), flags.pod);
  const given = (await askAll(shell, mtas, (mta) => give(mta, verb, all ? 'all' : ids))).flat();
  const results = all ? given.filter(({ outcome }) => outcome !== 'Unknown') : settle(ids, given);
  printAnswer(shell, flags.output, { results }, () =>
    all && results.length === 0 ? `Nothing to ${verb}.` : report(verb, results),
  );
  const lost = results.filter(({ outcome }) => outcome === 'Unknown').map(({ id }) => id);
  if (lost.length > 0) throw new Misuse(unknown(lost));
  if (results.some(({ outcome }) => outcome === 'Refused')) shell.exit(answerNo);
}

/** One result for each id: a mail lies in one pod, and the others do not know it. */
function settle(ids: readonly string[], results: readonly PodResult[]): readonly PodResult[] {
  return [...new Set(ids)].map(
    (id) =>
      results.find((result) => result.id === id && result.outcome !== 'Unknown') ?? {
        id,
        outcome: 'Unknown',
        detail: 'is in no queue',
      },
  );
}

const past: Readonly<Record<QueueVerb, string>> = {
  retry: 'on its way',
  hold: 'held',
  release: 'released',
  bounce: 'given up',
};

function report(verb: QueueVerb, results: readonly PodResult[]): string {
  return results
    .map(({ pod, id, outcome, detail }) => {
      const where = pod === undefined ? '' : `${pod}  `;
      return `${where}${id}  ${outcome === 'Done' ? past[verb] : printable(detail)}`;
    })
    .join('\n');
}

/** @throws Misuse for what can be no id, before anybody is asked. */
function checkIds(ids: readonly string[]): void {
  const odd = ids.find((id) => !/^[A-Za-z0-9.-]{1,200}$/.test(id));
  if (odd !== undefined)
    throw new Misuse(`${JSON.stringify(odd)} is no ID of a queued mail: see \`postern queue list\``);
}

function unknown(ids: readonly string[]): string {
  return `not in the queue: ${ids.join(', ')}; it may have been delivered or given up meanwhile, see \`postern queue list\``;
}

/** What strangers wrote must not steer the terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ');
}

/** `45s`, `12m`, `7h`, `3d` */
function span(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return `${whole}s`;
  if (whole < 5400) return `${Math.round(whole / 60)}m`;
  return whole < 129_600 ? `${Math.round(whole / 3600)}h` : `${Math.round(whole / 86_400)}d`;
}
