import { Command } from 'commander';
import { compile } from '../../operator/compile/compile.ts';
import type { Translation } from '../../operator/compile/model.ts';
import { defaultDnsOptions } from '../../operator/observe/resolver.ts';
import { lookAtDns } from '../dns/look.ts';
import { sendersUnknown, wantedRecords } from '../dns/records.ts';
import { listen } from '../listen.ts';
import { type Format, formatTable, outputOption, printAnswer } from '../output.ts';
import type { Shell } from '../shell.ts';
import { loadSnapshot } from '../snapshot.ts';
import { addSource, requireSource, type SourceFlags } from '../source.ts';

interface DnsFlags extends SourceFlags {
  readonly output: Format;
  readonly check?: boolean;
  readonly resolver?: string;
}

const examples = `
Examples:
  postern dns -f policy
  postern dns -f policy --check
  postern dns -n mail -o json

MX and DKIM records are exact. Those for SPF and DMARC are ones to begin with: a domain that has one needs no second one, and
--check says what is missing in it. A DkimKey has a record once its key was made, which \`postern standalone\` or the operator
does. Nothing is looked up without --check; with it 1 means that something is wrong or was not answered.`;

/** `postern dns`: the records that the objects ask for, and with `--check` what is found of them. */
export function dnsCommand(shell: Shell): Command {
  const command = new Command('dns')
    .description('Print the DNS records to publish, and check those that are.')
    .option('--check', 'look what is published now')
    .option(
      '--resolver <address:port>',
      'with --check: name server to ask (default: those of the machine)',
      listen,
    )
    .addOption(outputOption())
    .addHelpText('after', examples)
    .action((flags: DnsFlags) => dns(shell, flags));
  return addSource(command);
}

async function dns(shell: Shell, flags: DnsFlags): Promise<void> {
  const { snapshot: loaded, problems } = await loadSnapshot(shell, requireSource(flags), shell.now());
  shell.warnProblems(problems);
  const snapshot = { ...loaded, observed: { ...loaded.observed, mailDns: [] } };
  const translation = compile(snapshot);
  const records = wantedRecords(snapshot, translation);
  for (const text of sendersUnknown(snapshot, translation)) shell.warn(text);
  for (const name of keysWithoutRecord(translation)) {
    const advice =
      flags.folder === undefined
        ? 'the operator makes it once the object is accepted'
        : 'start `postern standalone` on this folder once';
    shell.warn(`DkimKey/${name}: has no key yet, so no record: ${advice}`);
  }
  const table = () =>
    formatTable(
      ['NAME', 'TYPE', 'VALUE'],
      records.map(({ name, type, value }) => [name, type, value]),
    );
  if (flags.check !== true) return printAnswer(shell, flags.output, { records }, table);
  const resolvers = flags.resolver === undefined ? [] : [flags.resolver];
  const checks = await lookAtDns(snapshot, translation, {
    dns: { ...defaultDnsOptions, resolvers },
    now: shell.now,
    signal: shell.stopSignal(),
  });
  printAnswer(shell, flags.output, { records, checks }, () => {
    const found = formatTable(
      ['OBJECT', 'CHECK', 'STATUS', 'REASON', 'MESSAGE'],
      checks.map(({ object, type, status, reason, message }) => [object, type, status, reason, message]),
    );
    return `${table()}\n\n${found}`;
  });
  if (checks.some(({ status, reason }) => status !== 'True' && reason !== 'NotChecked')) shell.exit(1);
}

function keysWithoutRecord({ statuses }: Translation): string[] {
  return statuses
    .filter(
      ({ kind, status }) => kind === 'DkimKey' && !('dnsRecord' in status && status.dnsRecord !== undefined),
    )
    .map(({ name }) => name);
}
