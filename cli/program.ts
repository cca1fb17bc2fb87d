import { Command } from 'commander';
import packageFile from '../package.json' with { type: 'json' };
import { accountCommand } from './commands/account.ts';
import { blocksCommand } from './commands/blocks.ts';
import { dkimCommand } from './commands/dkim.ts';
import { dnsCommand } from './commands/dns.ts';
import { explainCommand } from './commands/explain.ts';
import { lintCommand } from './commands/lint.ts';
import { mtaPassthrough } from './commands/mta.ts';
import { operatorCommand } from './commands/operator.ts';
import { queueCommand } from './commands/queue.ts';
import { renderCommand } from './commands/render.ts';
import { standaloneCommand } from './commands/standalone.ts';
import { statusCommand } from './commands/status.ts';
import { whyCommand } from './commands/why.ts';
import type { Shell } from './shell.ts';

const epilogue = `
Exit codes: 0 done; 1 the answer is no (a recipient refused, a problem found, something not ready); 2 misuse.
\`postern <command> --help\` has examples.`;

/** The whole command line. Errors of use are thrown as CommanderError instead of ending the process. */
export function buildProgram(shell: Shell): Command {
  const program = new Command('postern')
    .description('Mail policy for Kubernetes, and for a folder of the same manifests.')
    .version(packageFile.version, '-V, --version')
    .addHelpText('after', epilogue)
    .showSuggestionAfterError()
    .configureOutput({ writeOut: shell.write, writeErr: (text) => shell.warn(text.trimEnd()) });
  const operator = operatorCommand();
  const commands = [
    standaloneCommand(shell),
    explainCommand(shell),
    whyCommand(shell),
    statusCommand(shell),
    lintCommand(shell),
    renderCommand(shell),
    dnsCommand(shell),
    dkimCommand(shell),
    accountCommand(shell),
    blocksCommand(shell),
    queueCommand(shell),
    operator,
    mtaPassthrough(),
  ];
  for (const command of commands) program.addCommand(command.copyInheritedSettings(program));
  // It has a --help of its own, which is the whole truth about its flags.
  operator.helpOption(false);
  for (const command of [program, ...commands, ...commands.flatMap((each) => each.commands)]) {
    command.copyInheritedSettings(program).exitOverride();
  }
  return program;
}
