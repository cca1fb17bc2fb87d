import { Argument, Command } from 'commander';
import { compile } from '../../operator/compile/compile.ts';
import { resolveRef } from '../../policy/ref.ts';
import { replies } from '../../policy/reply.ts';
import type { Because } from '../../policy/types.ts';
import { answerNo } from '../failure.ts';
import { findNote } from '../note.ts';
import { type Format, outputOption, printAnswer } from '../output.ts';
import type { Shell } from '../shell.ts';
import { loadSnapshot } from '../snapshot.ts';
import { addSource, requireSource, type SourceFlags } from '../source.ts';

interface WhyMatch extends Because {
  readonly mta: string;
  /** The generation that the object has now; higher than `generation` if it was edited since. */
  readonly currentGeneration: number;
  /** What its author wrote beside the entry. */
  readonly note?: string;
}

interface WhyFlags extends SourceFlags {
  readonly output: Format;
}

const examples = `
Examples:
  postern why 4F8Z1K2M -f policy
  postern why 4F8Z1K2M -f policy -o json
  postern why 4F8Z1K2M -n mail

The reference stands at the end of every refusal: "550 5.7.1 ... (ref 4F8Z1K2M)". It is resolved from the manifests alone; when
it happened, the log of the MTA tells. The exit code is 1 if nothing matches.`;

/** `postern why`: which object and entry a refusal came from. */
export function whyCommand(shell: Shell): Command {
  const command = new Command('why')
    .description('Name the object and the entry behind the reference of a refusal.')
    .addArgument(new Argument('<ref>', 'eight characters, as they stand in the reply'))
    .addOption(outputOption())
    .addHelpText('after', examples)
    .action((ref: string, flags: WhyFlags) => why(shell, ref, flags));
  return addSource(command);
}

async function why(shell: Shell, ref: string, flags: WhyFlags): Promise<void> {
  const { snapshot, problems } = await loadSnapshot(shell, requireSource(flags), shell.now());
  shell.warnProblems(problems);
  const matches = compile(snapshot).mtas.flatMap(({ mta, bundle }) =>
    resolveRef(bundle, ref).map(({ because, currentGeneration }): WhyMatch => {
      const note = findNote(snapshot, because);
      return { mta, ...because, currentGeneration, ...(note === undefined ? {} : { note }) };
    }),
  );
  printAnswer(shell, flags.output, { ref, matches }, () => describe(ref, matches));
  if (matches.length === 0) shell.exit(answerNo);
}

function describe(ref: string, matches: readonly WhyMatch[]): string {
  if (matches.length === 0) {
    return `${ref}: nothing in these manifests has this reference; the object may be gone, or the mail went to another namespace`;
  }
  return matches.map((match) => matchText(ref, match)).join('\n');
}

function matchText(ref: string, match: WhyMatch): string {
  const { kind, name, generation, currentGeneration, entry, note } = match;
  if (kind === 'Postern') {
    return `${ref}: Postern's own rule ${name} (${entry}): ${ruleText(entry)}`;
  }
  const lines = [`${ref}: ${kind}/${name}, generation ${generation}`];
  if (currentGeneration !== generation)
    lines.push(`  edited since: it is at generation ${currentGeneration} now`);
  lines.push(entry === '' ? '  the entry is not there any more' : `  entry ${entry}`);
  if (note !== undefined) lines.push(`  note  ${note}`);
  return lines.join('\n');
}

function ruleText(entry: string): string {
  const found = Object.entries(replies).find(([name]) => name === entry);
  return found === undefined ? 'no object is involved' : found[1].text;
}
