import { Command } from 'commander';
import { compile } from '../../operator/compile/compile.ts';
import type { Snapshot, Translation } from '../../operator/compile/model.ts';
import { type Format, formatTable, outputOption, printAnswer } from '../output.ts';
import type { Shell } from '../shell.ts';
import { loadSnapshot } from '../snapshot.ts';
import { addSource, requireSource, type SourceFlags } from '../source.ts';

/** A record to publish. */
interface DnsRecord {
  readonly name: string;
  readonly type: 'MX' | 'TXT';
  readonly value: string;
  /** The object that asks for it, `Kind/name`. */
  readonly object: string;
  readonly zoneFileLine: string;
}

interface DnsFlags extends SourceFlags {
  readonly output: Format;
}

const examples = `
Examples:
  postern dns -f policy
  postern dns -f policy -o json
  postern dns -n mail

A DkimKey has a record once its key was made, which \`postern standalone\` or the operator does. Nothing is looked up.`;

/** `postern dns`: the records that the objects ask for. */
export function dnsCommand(shell: Shell): Command {
  const command = new Command('dns')
    .description('Print the DNS records to publish.')
    .addOption(outputOption())
    .addHelpText('after', examples)
    .action((flags: DnsFlags) => dns(shell, flags));
  return addSource(command);
}

async function dns(shell: Shell, flags: DnsFlags): Promise<void> {
  const { snapshot, problems } = await loadSnapshot(shell, requireSource(flags), shell.now());
  shell.warnProblems(problems);
  const translation = compile(snapshot);
  const records = [...mxRecords(translation), ...dkimRecords(snapshot, translation)];
  for (const name of keysWithoutRecord(translation)) {
    const advice =
      flags.folder === undefined
        ? 'the operator makes it once the object is accepted'
        : 'start `postern standalone` on this folder once';
    shell.warn(`DkimKey/${name}: has no key yet, so no record: ${advice}`);
  }
  printAnswer(shell, flags.output, { records }, () =>
    formatTable(
      ['NAME', 'TYPE', 'VALUE'],
      records.map(({ name, type, value }) => [name, type, value]),
    ),
  );
}

/** Mail for the domain comes here, or to its gateway, which the MX has to name instead (D3). */
function mxRecords({ mtas }: Translation): DnsRecord[] {
  return mtas.flatMap(({ bundle, settings }) =>
    bundle.domains
      .filter(({ gateway }) => gateway === undefined)
      .map(({ domain, source }): DnsRecord => {
        const value = `10 ${settings.heloName}.`;
        const line = `${domain}. IN MX ${value}`;
        return {
          name: domain,
          type: 'MX',
          value,
          object: `${source.kind}/${source.name}`,
          zoneFileLine: line,
        };
      }),
  );
}

function dkimRecords(snapshot: Snapshot, { statuses }: Translation): DnsRecord[] {
  const names = new Set(
    snapshot.objects.filter(({ kind }) => kind === 'DkimKey').map(({ metadata }) => metadata.name),
  );
  return statuses.flatMap(({ kind, name, status }): DnsRecord[] => {
    if (kind !== 'DkimKey' || !names.has(name) || !('dnsRecord' in status) || status.dnsRecord === undefined)
      return [];
    const { name: host, value, zoneFileLine } = status.dnsRecord;
    return [{ name: host, type: 'TXT', value, object: `${kind}/${name}`, zoneFileLine }];
  });
}

function keysWithoutRecord({ statuses }: Translation): string[] {
  return statuses
    .filter(
      ({ kind, status }) => kind === 'DkimKey' && !('dnsRecord' in status && status.dnsRecord !== undefined),
    )
    .map(({ name }) => name);
}
