import { Command } from 'commander';
import * as z from 'zod';
import { Misuse } from '../failure.ts';
import { type Format, formatTable, outputOption, printAnswer } from '../output.ts';
import { getJson } from '../running-mta.ts';
import type { Shell } from '../shell.ts';
import { loadSnapshot } from '../snapshot.ts';
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

interface BlocksFlags extends SourceFlags {
  readonly output: Format;
}

const examples = `
Examples:
  postern blocks -f policy
  postern blocks -f policy -o json

Asks the running MTA for its most recent refusals, newest first. They are kept in memory only and never stand in a status.`;

/** `postern blocks`: what was refused lately, and by which object (B5). */
export function blocksCommand(shell: Shell): Command {
  const command = new Command('blocks')
    .description('List the most recent refusals of the running MTA.')
    .addOption(outputOption())
    .addHelpText('after', examples)
    .action((flags: BlocksFlags) => blocks(shell, flags));
  return addSource(command);
}

async function blocks(shell: Shell, flags: BlocksFlags): Promise<void> {
  const { state } = await loadSnapshot(shell, requireSource(flags), shell.now());
  if (state === undefined) {
    throw new Misuse(
      'no state folder of `postern standalone` for this folder: start it, or name its state with --state DIR',
    );
  }
  const refusals = z.array(refusal).parse(await getJson(state, '/blocks'));
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
