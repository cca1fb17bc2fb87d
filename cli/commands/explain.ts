import { readFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { compile } from '../../operator/compile/compile.ts';
import { hopKeySecretName } from '../../operator/compile/hop-key.ts';
import type { MtaPolicy } from '../../operator/compile/model.ts';
import { parseAddress } from '../../policy/ip/address.ts';
import { loadPolicy } from '../../policy/load.ts';
import type { AuthenticatedAccount, LookupAnswer } from '../../policy/types.ts';
import { type Client, explainTransaction, newSession } from '../explain/explain.ts';
import { verifyMarks } from '../explain/hop-marks.ts';
import { readMessage } from '../explain/message.ts';
import { type ExplainReport, reportOf } from '../explain/report.ts';
import { answerNo, Misuse } from '../failure.ts';
import { type Format, formatTable, outputOption, printAnswer } from '../output.ts';
import { chooseMta } from '../policy.ts';
import type { Shell } from '../shell.ts';
import { loadSnapshot } from '../snapshot.ts';
import { addSource, requireSource, type SourceFlags } from '../source.ts';

interface ExplainFlags extends SourceFlags {
  readonly clientIp: string;
  readonly mailFrom: string;
  readonly rcpt: readonly string[];
  readonly auth?: string;
  readonly tls?: boolean;
  readonly message?: string;
  readonly lookup: LookupAnswer;
  readonly at?: string;
  readonly mta?: string;
  readonly output: Format;
}

const examples = `
Examples:
  postern explain -f policy --client-ip 203.0.113.9 --mail-from a@partner.example --rcpt alice@example.com
  postern explain -f policy --client-ip 203.0.113.9 --mail-from '' --rcpt a@example.com --rcpt b@example.org --tls -o json
  postern explain -f policy --client-ip 203.0.113.9 --mail-from a@b.example --rcpt a@example.com --message mail.eml
  postern explain -n mail --client-ip 203.0.113.9 --mail-from a@b.example --rcpt a@example.com

With --message the marks of the header that say where the mail has been (X-Postern-Hop, X-Postern-Internal) are verified with the key
of the namespace, as the MTA does. Where that key cannot be read a note says so, and the marks count for nothing.

The exit code is 0 if every recipient is accepted, 1 if one is not. Nothing is sent and no mail server is asked.`;

/** `postern explain`: what would happen to a mail, and which object decides it. */
export function explainCommand(shell: Shell): Command {
  const command = new Command('explain')
    .description('Say what would happen to a mail, recipient by recipient, and which object decides it.')
    .requiredOption('--client-ip <ip>', 'address of the client that connects')
    .requiredOption('--mail-from <address>', "sender of MAIL FROM; '' for the null sender")
    .requiredOption('--rcpt <address...>', 'recipients of RCPT TO, in order')
    .option('--auth <account>', 'account that is signed in (submission)')
    .option('--tls', 'the session is encrypted')
    .option('--message <file>', 'message file: end of DATA is judged too')
    .option('--at <time>', 'moment to judge for, such as 2026-12-24T18:00:00Z (default: now)')
    .option('--mta <name>', 'MTA to ask (default: the one that serves the first recipient)')
    .addOption(
      new Option('--lookup <answer>', 'what a Route would say of a recipient that only it knows')
        .choices(['known', 'unknown', 'unavailable'])
        .default('known'),
    )
    .addOption(outputOption())
    .addHelpText('after', examples)
    .action((flags: ExplainFlags) => explain(shell, flags));
  return addSource(command);
}

async function explain(shell: Shell, flags: ExplainFlags): Promise<void> {
  if (parseAddress(flags.clientIp) === undefined)
    throw new Misuse(`--client-ip ${flags.clientIp}: is no IP address`);
  const now = flags.at === undefined ? shell.now() : Date.parse(flags.at);
  if (Number.isNaN(now)) throw new Misuse(`--at ${flags.at}: is no time; write 2026-12-24T18:00:00Z`);
  const { snapshot, problems } = await loadSnapshot(shell, requireSource(flags), now);
  shell.warnProblems(problems);
  const addresses = [...flags.rcpt, flags.mailFrom];
  const mta = chooseMta(
    snapshot,
    compile(snapshot),
    flags.mta === undefined ? { addresses } : { addresses, mta: flags.mta },
  );
  const policy = await loadPolicy(mta.bundle);
  const client: Client = { peer: flags.clientIp, tls: flags.tls ?? false, now: Math.floor(now / 1000) };
  const account = flags.auth === undefined ? undefined : findAccount(mta, flags.auth);
  const message = flags.message === undefined ? undefined : await readMessageFile(flags.message);
  const verified =
    message &&
    verifyMarks(message, {
      key: mta.secrets.hopKey,
      envelopeFrom: flags.mailFrom,
      recipients: flags.rcpt,
      now: client.now,
    });
  if (verified?.marks.some(({ valid }) => valid === null)) {
    shell.warn(
      `note: where the message has been is not verified, and no mark of it counts: the key in Secret ${hopKeySecretName} cannot be read (of a folder it lies in the state of \`postern standalone\`: --state)`,
    );
  }
  const explanation = explainTransaction(
    policy,
    account === undefined ? client : { ...client, account },
    {
      envelopeFrom: flags.mailFrom,
      recipients: flags.rcpt,
      heloName: mta.settings.heloName,
      ...(verified && { message: verified.message }),
    },
    newSession,
    () => flags.lookup,
  );
  const report = reportOf(explanation, policy, verified?.marks);
  printAnswer(shell, flags.output, report, () => describe(report));
  if (report.recipients.some(({ verdict }) => verdict !== 'accept')) shell.exit(answerNo);
}

async function readMessageFile(path: string) {
  try {
    return readMessage(await readFile(path));
  } catch (error) {
    throw new Misuse(`--message ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** @throws Misuse if no domain of the MTA has the account. */
function findAccount({ bundle, secrets }: MtaPolicy, name: string): AuthenticatedAccount {
  for (const { domain } of bundle.domains) {
    const account = secrets.accounts[domain]?.find((each) => each.name === name);
    if (account === undefined) continue;
    const { kind, sendAs, fromRoute } = account;
    return { name, domain, kind, sendAs, ...(fromRoute === undefined ? {} : { fromRoute }) };
  }
  throw new Misuse(`--auth ${name}: no domain of this MTA has an account of that name`);
}

function describe({ hopMarks = [], recipients }: ExplainReport): string {
  const words = new Map([
    [true, 'valid'],
    [false, 'not valid'],
    [null, 'not verified'],
  ]);
  const marks = hopMarks.map(({ field, valid }) => `${field} ${words.get(valid)}`);
  const told = recipients.map(({ address, verdict, code, reason, because, legs, trace }) => {
    const { kind, name, generation, entry } = because;
    const decided = `${kind}/${name}${generation === 0 ? '' : ` (generation ${generation})`}${entry === '' ? '' : `, entry ${entry}`}`;
    const ways = legs.map(
      ({ to, via, tls, sign, copy }) =>
        `  goes to    ${to} via ${via}, TLS ${tls}${sign.length > 0 ? `, signed by ${sign.join(' and ')}` : ''}${copy ? ', a copy' : ''}`,
    );
    const steps = trace.map((step) => [`    ${step.stage}`, step.outcome, step.detail]);
    return [
      `${address}: ${verdict}`,
      `  reply      ${code} ${reason}`,
      `  decided by ${decided}`,
      ...ways,
      formatTable(['    STAGE', 'OUTCOME', 'DETAIL'], steps),
    ].join('\n');
  });
  return [...(marks.length > 0 ? [`marks of hops: ${marks.join(', ')}`] : []), ...told].join('\n\n');
}
