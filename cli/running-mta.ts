import { isRecord } from '../operator/platform/standalone/documents.ts';
import { readIfThere, type StatePaths } from '../operator/platform/standalone/state-files.ts';

/** An order may write a hundred reports to a slow disk. */
const timeoutMs = { GET: 5_000, POST: 60_000 };

/** Where the MTA of a state folder serves now, and the token that it asks for. @throws Error if none does. */
export async function runningMta(state: StatePaths): Promise<{ address: string; token: string }> {
  const text = await readIfThere(state.addresses);
  const addresses: unknown = text === undefined ? undefined : JSON.parse(text);
  const address = isRecord(addresses) ? addresses['http'] : undefined;
  if (typeof address !== 'string')
    throw new Error('no MTA serves this folder now: start `postern standalone` first');
  return { address, token: (await readIfThere(state.token))?.trim() ?? '' };
}

export type Method = 'GET' | 'POST';

/** @param address `host:port` of an MTA. @throws Error if it does not answer, or refuses. */
export async function requestJson(
  address: string,
  token: string,
  path: string,
  method: Method = 'GET',
): Promise<unknown> {
  const response = await fetch(`http://${address}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    redirect: 'error',
    signal: AbortSignal.timeout(timeoutMs[method]),
  }).catch((error: unknown) => {
    throw new Error(
      `the MTA at ${address} does not answer: ${error instanceof Error ? error.message : String(error)}`,
    );
  });
  if (!response.ok) throw new Error(`the MTA at ${address} answers ${response.status} to ${path}`);
  return await response.json();
}
