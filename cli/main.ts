// As PID 1 of a container a process has no default action for signals: until a command has its own handler, this one ends it.
// Everything else is imported afterwards, for that takes up to a second.
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (process.listenerCount(signal) === 1) process.exit(signal === 'SIGTERM' ? 143 : 130);
  });
}

// `postern status | head`: who reads has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

const { CommanderError } = await import('commander');
const { describeError, Misuse, misuse } = await import('./failure.ts');
const { buildProgram } = await import('./program.ts');
const { processShell } = await import('./shell.ts');

try {
  await buildProgram(processShell()).parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : misuse;
  else {
    process.stderr.write(`postern: ${describeError(error)}\n`);
    process.exitCode = error instanceof Misuse ? misuse : 1;
  }
}
