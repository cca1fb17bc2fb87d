import type { Command } from 'commander';
import { mtaCommand } from '../../mta/options.ts';

/** `postern mta`: one MTA process. It is loaded only when it is run, for Haraka is heavy. */
export function mtaPassthrough(): Command {
  return mtaCommand(async (options) => {
    const { runMta } = await import('../../mta/run.ts');
    await runMta(options);
  });
}
