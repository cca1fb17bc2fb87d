import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { stringify } from 'yaml';
import { compile } from '../../operator/compile/compile.ts';
import { render } from '../../operator/render/render.ts';
import { type DeliveredMta, deliveredMta } from '../delivered.ts';
import { answerNo, Misuse } from '../failure.ts';
import { type Format, formatTable, outputOption, printAnswer } from '../output.ts';
import { type FileDiff, fileDiffs } from '../render-diff.ts';
import type { Shell } from '../shell.ts';
import { loadSnapshot } from '../snapshot.ts';
import { addSource, requireSource, type SourceFlags } from '../source.ts';

interface RenderFlags extends SourceFlags {
  readonly diff?: boolean;
  readonly out?: string;
  readonly output: Format;
}

/** What an MTA gets, readable: the policy as one document, and Haraka's files. No secret is in it. */
interface RenderedAnswer {
  readonly mta: string;
  readonly bundleHash: string;
  readonly coldHash: string;
  /** `policy.yaml`, and the cold files under `config/`. */
  readonly files: Readonly<Record<string, string>>;
}

const examples = `
Examples:
  postern render -f policy -o yaml
  postern render -f policy --out rendered
  postern render -f policy --diff
  postern render -n mail -o yaml

Shows what the operator makes of the manifests, the same bytes for the same input. --diff compares with what the MTA of
\`postern standalone\` has on disk; the exit code is then 1 if something differs. Secrets are never printed.`;

/** `postern render`: the compiled policy and configuration, offline. */
export function renderCommand(shell: Shell): Command {
  const command = new Command('render')
    .description('Print the compiled policy and the configuration of each MTA.')
    .option('--diff', 'only what differs from what the running MTA has')
    .option('--out <dir>', 'write the files below this folder too')
    .addOption(outputOption())
    .addHelpText('after', examples)
    .action((flags: RenderFlags) => renderFolder(shell, flags));
  return addSource(command);
}

async function renderFolder(shell: Shell, flags: RenderFlags): Promise<void> {
  const { snapshot, problems, state } = await loadSnapshot(shell, requireSource(flags), shell.now());
  shell.warnProblems(problems);
  const mtas = compile(snapshot).mtas.map((policy): RenderedAnswer => {
    const { mta, bundleHash, coldHash, coldFiles } = render(policy);
    return { mta, bundleHash, coldHash, files: readableFiles({ bundle: policy.bundle, coldFiles }) };
  });
  if (flags.out !== undefined) await writeFiles(flags.out, mtas);
  if (flags.diff !== true) {
    printAnswer(
      shell,
      flags.output,
      { mtas },
      () => mtas.map(summary).join('\n\n') || 'no MTA to render for',
    );
    return;
  }
  if (flags.folder === undefined) {
    throw new Misuse('--diff compares with the state of `postern standalone`: it needs a folder, -f DIR');
  }
  if (state === undefined) {
    throw new Misuse(
      '--diff compares with the state of `postern standalone`: start it on this folder, or name it with --state DIR',
    );
  }
  const before = readableFiles(await deliveredMta(state));
  const differences = fileDiffs(before, mtas[0]?.files ?? {});
  printAnswer(shell, flags.output, { differences }, () => differenceText(differences));
  if (differences.length > 0) shell.exit(answerNo);
}

/** Sorted keys: a bundle that was read back need not have the order in which it was built. */
function readableFiles({ bundle, coldFiles }: DeliveredMta): Readonly<Record<string, string>> {
  const cold = [...coldFiles].map(([name, text]) => [`config/${name}`, text]);
  return {
    'policy.yaml': stringify(bundle, { lineWidth: 0, aliasDuplicateObjects: false, sortMapEntries: true }),
    ...Object.fromEntries(cold),
  };
}

async function writeFiles(out: string, mtas: readonly RenderedAnswer[]): Promise<void> {
  for (const { mta, files } of mtas) {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(join(out, mta, name, '..'), { recursive: true });
      await writeFile(join(out, mta, name), text);
    }
  }
}

function summary({ mta, bundleHash, coldHash, files }: RenderedAnswer): string {
  const rows = Object.entries(files).map(([name, text]) => [name, `${Buffer.byteLength(text)} bytes`]);
  const head = `MTA ${mta}: policy ${bundleHash.slice(0, 12)}, configuration ${coldHash.slice(0, 12)}`;
  return `${head}\n${formatTable(['FILE', 'SIZE'], rows)}`;
}

function differenceText(differences: readonly FileDiff[]): string {
  return differences.length === 0
    ? 'nothing differs'
    : differences.map(({ patch }) => patch.trimEnd()).join('\n');
}
