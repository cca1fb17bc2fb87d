import { type Command, Option } from 'commander';
import { Misuse } from './failure.ts';

/** Where the objects come from: a folder of manifests, or a namespace of a cluster. */
export interface SourceFlags {
  readonly folder?: string;
  readonly namespace?: string;
  readonly state?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** Adds `-f`, `-n`, `--state`, `--kubeconfig` and `--context`, the same on every command that reads objects. */
export function addSource(command: Command): Command {
  return command
    .addOption(new Option('-f, --folder <dir>', 'folder with the manifests'))
    .addOption(
      new Option(
        '-n, --namespace <name>',
        'namespace: of the cluster, or with -f the one to read in the folder',
      ),
    )
    .addOption(
      new Option(
        '--state <dir>',
        'state folder of `postern standalone`, for generations and keys (default: ./.postern if it is of this folder)',
      ),
    )
    .addOption(
      new Option(
        '--kubeconfig <file>',
        'with -n: kubeconfig of the cluster (default: the one that kubectl uses)',
      ),
    )
    .addOption(
      new Option('--context <name>', 'with -n: context of the kubeconfig (default: its current one)'),
    );
}

/** @throws Misuse unless a folder or a namespace is named. */
export function requireSource(flags: SourceFlags): SourceFlags {
  if (flags.folder === undefined && flags.namespace === undefined) {
    throw new Misuse(
      'say where the objects are: -f DIR for a folder of manifests, or -n NAMESPACE for a cluster',
    );
  }
  return flags;
}

/** The namespace of the cluster that is meant. Call it where no folder is given. */
export function namespaceOf({ namespace }: SourceFlags): string {
  if (namespace === undefined) throw new Misuse('-n NAMESPACE is needed for a cluster');
  return namespace;
}
