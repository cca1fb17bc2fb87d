import { Command } from 'commander';

/** `postern operator`. It reads its own flags, and is loaded only when it is run: a Kubernetes client is heavy. */
export function operatorCommand(): Command {
  return new Command('operator')
    .description('Run the operator against the API server.')
    .usage('[flags]')
    .allowUnknownOption()
    .allowExcessArguments()
    .argument('[flags...]')
    .action(async (_flags: string[], _options: unknown, command: Command) => {
      const { runOperator } = await import('../../operator/main.ts');
      await runOperator(command.args);
    });
}
