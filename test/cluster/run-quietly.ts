import { spawn } from 'node:child_process';

/**
 * Runs a tool without its output.
 *
 * @param env is added to the environment of this process
 * @throws Error with the end of the output, if it cannot be started or fails
 */
export async function runQuietly(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let tail = '';
  const keepTail = (chunk: Buffer) => {
    tail = (tail + chunk.toString()).slice(-4000);
  };
  child.stdout.on('data', keepTail);
  child.stderr.on('data', keepTail);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`${command} did not start: ${error.message}`)));
    child.once('close', resolve);
  });
  if (code !== 0)
    throw new Error(
      `"${[command, ...args].join(' ')}" failed (exit code ${code}). The end of its output:\n${tail}`,
    );
}
