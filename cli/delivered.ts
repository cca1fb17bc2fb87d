import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PolicyBundle } from '../bundle/policy-bundle.ts';
import { readBundle } from '../mta/bundle-load.ts';
import type { StatePaths } from '../operator/platform/standalone/state-files.ts';
import { describeError } from './failure.ts';

/** What an MTA has on disk. */
export interface DeliveredMta {
  readonly bundle: PolicyBundle;
  readonly coldFiles: ReadonlyMap<string, string>;
}

/** Reads what the MTA of a state folder was given last. @throws Error if there is nothing complete yet. */
export async function deliveredMta(state: StatePaths): Promise<DeliveredMta> {
  const bundle = await readBundle(state.policy).catch((error: unknown) => {
    throw new Error(`${state.policy}: no complete policy was delivered yet: ${describeError(error)}`);
  });
  const names = (await readdir(state.config)).filter((name) => !name.startsWith('..'));
  const texts = names.map(
    async (name): Promise<[string, string]> => [name, await readFile(join(state.config, name), 'utf8')],
  );
  return { bundle, coldFiles: new Map(await Promise.all(texts)) };
}
