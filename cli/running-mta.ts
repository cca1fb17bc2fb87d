import { type MtaState, mtaState } from '../bundle/state.ts';
import { isRecord } from '../operator/platform/standalone/documents.ts';
import { readIfThere, type StatePaths } from '../operator/platform/standalone/state-files.ts';

const timeoutMs = 2_000;

/** What the MTA of a state folder has loaded. @throws Error if none serves. */
export async function askMta(state: StatePaths): Promise<MtaState> {
  return mtaState.parse(await getJson(state, '/state'));
}

/** Asks the MTA that serves now. @throws Error if none does, or it does not answer. */
export async function getJson(state: StatePaths, path: string): Promise<unknown> {
  const text = await readIfThere(state.addresses);
  const addresses: unknown = text === undefined ? undefined : JSON.parse(text);
  const http = isRecord(addresses) ? addresses['http'] : undefined;
  if (typeof http !== 'string')
    throw new Error('no MTA serves this folder now: start `postern standalone` first');
  return await getJsonFrom(http, (await readIfThere(state.token))?.trim() ?? '', path);
}

/** @param address `host:port` of an MTA. @throws Error if it does not answer, or refuses the token. */
export async function getJsonFrom(address: string, token: string, path: string): Promise<unknown> {
  const response = await fetch(`http://${address}${path}`, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((error: unknown) => {
    throw new Error(
      `the MTA at ${address} does not answer: ${error instanceof Error ? error.message : String(error)}`,
    );
  });
  if (!response.ok) throw new Error(`the MTA at ${address} answers ${response.status} to ${path}`);
  return await response.json();
}
