import type { MtaOptions } from './options.ts';
import { problemOf } from './problem.ts';
import type { Parts } from './runtime.ts';
import { startMta } from './start.ts';

/**
 * The life of the process: start, serve, drain on SIGTERM or SIGINT (whatever the process id is: Haraka's own handlers are
 * not loaded, HT9), exit 0. A start that fails exits 1 with one line.
 * @param parts for tests.
 */
export async function runMta(options: MtaOptions, parts?: Parts): Promise<void> {
  // Haraka reports a port that is taken as a rejected promise of nobody's.
  const failure = Promise.withResolvers<never>();
  const fail = (error: unknown) => failure.reject(error);
  process.on('uncaughtException', fail);
  // From the first moment: a stop that is asked for while the process starts must not be lost.
  const asked = Promise.withResolvers<void>();
  let stopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      // A second Ctrl-C means now.
      if (stopping && signal === 'SIGINT') process.exit(1);
      stopping = true;
      asked.resolve();
    });
  }
  try {
    const mta = await Promise.race([startMta(options, parts), failure.promise]);
    process.off('uncaughtException', fail);
    process.on('uncaughtException', (error) => {
      process.stderr.write(`postern mta: ${error.stack?.replaceAll('\n', ' | ')}\n`);
      process.exit(1);
    });
    asked.promise.then(() => mta.stop()).finally(() => process.exit(0));
    process.stdout.write(`ready ${mta.addresses}\n`);
  } catch (error) {
    process.stderr.write(`postern mta: ${oneLine(error)}\n`);
    process.exit(1);
  }
}

function oneLine(error: unknown): string {
  return problemOf(error).replaceAll(/\s*\n\s*/g, '; ');
}
