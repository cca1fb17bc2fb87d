import { Command } from 'commander';
import * as z from 'zod';
import { askAll, findMtas } from '../mtas.ts';
import { type Format, formatTable, outputOption, printAnswer } from '../output.ts';
import type { Shell } from '../shell.ts';
import { addSource, requireSource, type SourceFlags } from '../source.ts';

const refusal = z.object({
  time: z.int(),
  peer: z.string(),
  mailFrom: z.string(),
  recipient: z.string(),
  reply: z.object({ code: z.int(), enhanced: z.string(), text: z.string() }),
  ref: z.string(),
  because: z.object({ kind: z.string(), name: z.string(), generation: z.int(), entry: z.string() }),
});

const entryHits = z.object({ list: z.string(), entry: z.string(), hits: z.int(), lastHit: z.int() });

interface BlocksFlags extends SourceFlags {
  readonly hits?: true;
  readonly output: Format;
}

const examples = `
Examples:
  postern blocks -f policy
  postern blocks -f policy -o json
  postern blocks -f policy --hits
  postern blocks -n mail

Asks the running MTA, or every MTA pod, for its most recent refusals, newest first; with --hits for the entries of IP lists that
mail has met since the pods started, the last one first. They are kept in memory only and never stand in a status.`;

/** `postern blocks`: what was refused lately, and by which object (B5). */
export function blocksCommand(shell: Shell): Command {
  const command = new Command('blocks')
    .description('List the most recent refusals of the running MTA.')
    .option('--hits', 'entries of IP lists that mail has met, instead of refusals')
    .addOption(outputOption())
    .addHelpText('after', examples)
    .action((flags: BlocksFlags) => blocks(shell, flags));
  return addSource(command);
}

async function blocks(shell: Shell, flags: BlocksFlags): Promise<void> {
  const source = requireSource(flags);
  const path = flags.hits ? '/hits' : '/blocks';
  const answers = await askAll(shell, await findMtas(shell, source), ({ ask }) => ask(path));
  if (flags.hits) {
    printHits(shell, flags.output, answers);
    return;
  }
  const refusals = answers
    .flatMap((answer) => z.array(refusal).parse(answer))
    .toSorted((left, right) => right.time - left.time);
  printAnswer(shell, flags.output, { refusals }, () =>
    formatTable(
      ['TIME', 'CLIENT', 'FROM', 'TO', 'REPLY', 'REF', 'DECIDED BY'],
      refusals.map(({ time, peer, mailFrom, recipient, reply, ref, because }) => [
        new Date(time * 1000).toISOString(),
        peer,
        `<${mailFrom}>`,
        `<${recipient}>`,
        `${reply.code} ${reply.enhanced}`,
        ref,
        `${because.kind}/${because.name} ${because.entry}`.trimEnd(),
      ]),
    ),
  );
}

/** One line for each entry, whichever pod it was met by. */
function printHits(shell: Shell, output: Format, answers: readonly unknown[]): void {
  const entries = new Map<string, z.infer<typeof entryHits>>();
  for (const each of answers.flatMap((answer) => z.array(entryHits).parse(answer))) {
    const key = `${each.list} ${each.entry}`;
    const known = entries.get(key);
    const hits = (known?.hits ?? 0) + each.hits;
    entries.set(key, { ...each, hits, lastHit: Math.max(known?.lastHit ?? 0, each.lastHit) });
  }
  const all = [...entries.values()].toSorted((left, right) => right.lastHit - left.lastHit);
  printAnswer(shell, output, { entries: all }, () =>
    formatTable(
      ['LAST', 'LIST', 'ENTRY', 'HITS'],
      all.map(({ lastHit, list, entry, hits }) => [
        new Date(lastHit * 1000).toISOString(),
        `IpAccessList/${list}`,
        entry,
        String(hits),
      ]),
    ),
  );
}
