import { once } from 'node:events';
import { runPostern } from '../standalone/harness.ts';

export interface CommandResult {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs one command to its end, as a shell would. */
export async function postern(...args: readonly string[]): Promise<CommandResult> {
  const child = runPostern(args);
  let out = '';
  let err = '';
  child.stdout?.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    err += chunk;
  });
  const [code] = await once(child, 'close');
  return { code, out, err };
}
