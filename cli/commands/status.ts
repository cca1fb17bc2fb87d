import { Command } from 'commander';
import * as z from 'zod';
import type { PartnerTlsFailure } from '../../bundle/state.ts';
import { compile } from '../../operator/compile/compile.ts';
import { listStatuses, type StatePaths } from '../../operator/platform/standalone/state-files.ts';
import { answerNo, describeError } from '../failure.ts';
import {
  type AnsweredState,
  joinTlsFailures,
  type MailSum,
  mailSumText,
  sumMail,
  tlsFailureTable,
} from '../mail-status.ts';
import { askAll, findMtas } from '../mtas.ts';
import { type Format, outputOption, printAnswer } from '../output.ts';
import type { Shell } from '../shell.ts';
import { loadSnapshot } from '../snapshot.ts';
import { addSource, namespaceOf, requireSource, type SourceFlags } from '../source.ts';
import { adviceTable, isReady, notRunning, type StatusRow, statusTable } from '../status-table.ts';

interface StatusFlags extends SourceFlags {
  readonly output: Format;
}

const examples = `
Examples:
  postern status -f policy
  postern status -f policy -o json
  postern status -n mail

Shows what the running MTA has loaded if \`postern standalone\` serves the folder, and else what can be told without it: then
nothing is Programmed. With -n it shows the statuses that the operator wrote. The exit code is 1 unless every object is Ready.

Below the objects stand the conditions that Ready does not count and that want somebody's eye: warnings, Routes that cannot be
reached, records that are missing in DNS. Below these stands what no status holds, since it changes with the mail: the books of the MTA (every recipient that was accepted
is delivered, reported as failed, in the ledger or queued), and partners that mail does not get to over the TLS that a TlsPolicy
requires, in the words of TLS reports (RFC 8460). It is asked of the running MTA, or of the MTA pods from where they can be
reached; without it the rest is still shown.`;

/** `postern status`: every object, and whether it acts. */
export function statusCommand(shell: Shell): Command {
  const command = new Command('status')
    .description('Show every object with its conditions.')
    .addOption(outputOption())
    .addHelpText('after', examples)
    .action((flags: StatusFlags) => status(shell, flags));
  return addSource(command);
}

async function status(shell: Shell, flags: StatusFlags): Promise<void> {
  const source = requireSource(flags);
  if (source.folder === undefined) {
    const rows = await clusterRows(source);
    const live = await askLive(shell, source);
    printAnswer(shell, flags.output, { objects: rows, ...live }, () => withLive(screen(rows), live));
    if (!rows.every(isReady)) shell.exit(answerNo);
    return;
  }
  const { snapshot, problems, state } = await loadSnapshot(shell, source, shell.now());
  shell.warnProblems(problems);
  const states = state === undefined ? [] : await askStates(shell, source).catch(() => []);
  const running = states.length > 0;
  const live = liveOf(states);
  const rows: readonly StatusRow[] =
    state !== undefined && running ? await storedRows(state) : compile(snapshot).statuses.map(notRunning);
  const answer = {
    running,
    objects: rows.map(({ kind, name, status: each }) => ({ kind, name, status: each })),
    ...live,
  };
  printAnswer(shell, flags.output, answer, () => {
    const head = running ? '' : 'No MTA runs for this folder: this is what the manifests alone say.\n\n';
    return withLive(`${head}${screen(rows)}`, live);
  });
  if (problems.length > 0 || !rows.every(isReady)) shell.exit(answerNo);
}

function screen(rows: readonly StatusRow[]): string {
  const advice = adviceTable(rows);
  return advice === undefined ? statusTable(rows) : `${statusTable(rows)}\n\n${advice}`;
}

/** What changes with the mail, over all MTAs that answer. */
interface Live {
  /** Absent if no MTA answers. */
  readonly mail?: MailSum;
  readonly tlsFailures: readonly PartnerTlsFailure[];
}

/** Who may read objects need not be able to reach pods, or to read their token. */
async function askLive(shell: Shell, source: SourceFlags): Promise<Live> {
  const states = await askStates(shell, source).catch((error: unknown) => {
    shell.warn(`note: no MTA is asked for its mail: ${describeError(error)}`);
    return [];
  });
  return liveOf(states);
}

async function askStates(shell: Shell, source: SourceFlags): Promise<readonly AnsweredState[]> {
  return await askAll(shell, await findMtas(shell, source), async ({ pod, state }) => ({
    ...(pod !== undefined && { pod }),
    state: await state(),
  }));
}

function liveOf(states: readonly AnsweredState[]): Live {
  const mail = sumMail(states);
  return { ...(mail && { mail }), tlsFailures: joinTlsFailures(states) };
}

function withLive(table: string, { mail, tlsFailures }: Live): string {
  return [
    table,
    ...(mail ? [mailSumText(mail)] : []),
    ...(tlsFailures.length > 0 ? [tlsFailureTable(tlsFailures)] : []),
  ].join('\n\n');
}

/** The statuses as they are stored in the API server. */
async function clusterRows(source: SourceFlags): Promise<readonly StatusRow[]> {
  const { withCluster } = await import('../cluster.ts');
  const { readStatuses } = await import('../../operator/platform/kubernetes/one-shot.ts');
  const stored = await withCluster(source, (client) => readStatuses(client, namespaceOf(source)));
  return stored.map(({ kind, name, status: each }) => ({ kind, name, status: storedStatus.parse(each) }));
}

const storedStatus = z.looseObject({
  conditions: z
    .array(z.looseObject({ type: z.string(), status: z.string(), reason: z.string(), message: z.string() }))
    .optional(),
});
const manifest = z.object({ status: storedStatus });

/** What the standalone process wrote last, with what it says of documents that cannot be used. */
async function storedRows(state: StatePaths): Promise<readonly StatusRow[]> {
  const files = await listStatuses(state);
  return files.map((file) => ({
    kind: file.kind,
    name: file.name,
    status: manifest.parse(file.manifest).status,
  }));
}
