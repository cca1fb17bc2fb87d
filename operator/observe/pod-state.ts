import { isIPv6 } from 'node:net';
import { type MtaState, mtaState } from '../../bundle/state.ts';

/** Milliseconds within which a pod has to answer in full: a hung pod must not hold up its namespace. */
const timeoutMs = 2_000;
/** About 450 bytes for each domain and Route; a pod that says more is not ours. */
const maxBytes = 1_048_576;

type PodState =
  | { readonly ok: true; readonly value: MtaState }
  | { readonly ok: false; readonly problem: string };

/** `ip:port` of a pod's HTTP server, as URLs have it: an IPv6 address in brackets. */
export function podAddress(ip: string, port: number): string {
  return `${isIPv6(ip) ? `[${ip}]` : ip}:${port}`;
}

/**
 * Asks one MTA what it has loaded: `GET /state` with its bearer token. Never throws for what the MTA does; the problem is a
 * sentence that stays the same while the MTA does.
 *
 * @param address `host:port` of the MTA's HTTP server; an IPv6 address in brackets
 * @param token the MTA's own bearer token
 * @throws the reason of the signal, if that ended the question
 */
export async function fetchPodState(address: string, token: string, signal: AbortSignal): Promise<PodState> {
  const url = `http://${address}/state`;
  try {
    const response = await fetch(url, {
      headers: { authorization: `Bearer ${token}`, connection: 'close' },
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    const text = await readBounded(response);
    if (response.status !== 200) return { ok: false, problem: `GET ${url} answered ${response.status}` };
    const parsed = mtaState.safeParse(JSON.parse(text));
    if (parsed.success) return { ok: true, value: parsed.data };
    const issue = parsed.error.issues[0];
    return {
      ok: false,
      problem: `GET ${url} answered no MTA state: ${issue?.path.join('.')}: ${issue?.message}`,
    };
  } catch (error) {
    signal.throwIfAborted();
    return { ok: false, problem: `GET ${url} failed: ${cause(error)}` };
  }
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The code of the system call where there is one (ECONNREFUSED): fetch itself says only "fetch failed". */
function cause(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer in ${timeoutMs} ms`;
  if (error.cause instanceof Error && 'code' in error.cause) return String(error.cause.code);
  return error.message;
}
