import { Command } from 'commander';
import { Misuse } from '../failure.ts';

/** `postern operator`. Its module is looked for when it is run: other commands must not pay for a Kubernetes client. */
export function operatorCommand(): Command {
  return new Command('operator')
    .description('Run the operator against the API server.')
    .allowUnknownOption()
    .allowExcessArguments()
    .helpOption(false)
    .argument('[args...]')
    .action(async (args: string[]) => {
      const extension = import.meta.url.endsWith('.js') ? '.js' : '.ts';
      const main = new URL(`../../operator/main${extension}`, import.meta.url);
      const module: unknown = await import(main.href).catch((error: unknown) => {
        throw new Misuse(
          `the operator is not part of this build: ${error instanceof Error ? error.message : String(error)}`,
        );
      });
      if (!hasRun(module)) throw new Error('operator/main has no runOperator');
      await module.runOperator(args);
    });
}

function hasRun(module: unknown): module is { runOperator: (args: readonly string[]) => Promise<void> } {
  return (
    typeof module === 'object' &&
    module !== null &&
    'runOperator' in module &&
    typeof module.runOperator === 'function'
  );
}
