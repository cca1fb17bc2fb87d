import { CommanderError } from 'commander';
import { describeError, Misuse, misuse } from './failure.ts';
import { buildProgram } from './program.ts';
import { processShell } from './shell.ts';

try {
  await buildProgram(processShell()).parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : misuse;
  else {
    process.stderr.write(`postern: ${describeError(error)}\n`);
    process.exitCode = error instanceof Misuse ? misuse : 1;
  }
}
