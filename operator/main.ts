import { readFileSync } from 'node:fs';
import { startOperator } from './operator.ts';
import { type OperatorFlags, operatorUsage, parseOperatorFlags } from './operator-options.ts';

const namespaceFile = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

/** Namespace of the pod that we run in, if we do. */
function podNamespace(): string | undefined {
  const given = process.env['POD_NAMESPACE'];
  if (given !== undefined && given !== '') return given;
  try {
    return readFileSync(namespaceFile, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/**
 * Runs the operator as a program: until SIGTERM or SIGINT, or until the Lease is lost. Sets the exit code: 0 stopped, 1 the Lease
 * was lost, 2 wrong flags.
 *
 * @param argv the command line without the program's own name
 */
export async function runOperator(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help')) {
    process.stdout.write(operatorUsage);
    return;
  }
  const ownNamespace = podNamespace();
  let flags: OperatorFlags;
  try {
    flags = parseOperatorFlags(argv, ownNamespace);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${operatorUsage}`);
    process.exitCode = 2;
    return;
  }
  const running = await startOperator({ ...flags, ...(ownNamespace === undefined ? {} : { ownNamespace }) });
  const signalled = new Promise<undefined>((resolve) => {
    process.once('SIGTERM', () => resolve(undefined));
    process.once('SIGINT', () => resolve(undefined));
  });
  const reason = await Promise.race([signalled, running.lost]);
  if (reason !== undefined) {
    process.stderr.write(`the Lease was lost: ${reason}\n`);
    // Another replica leads now: whatever still runs here must not write any more.
    process.exit(1);
  }
  await running.stop();
}

if (import.meta.main) await runOperator(process.argv.slice(2));
