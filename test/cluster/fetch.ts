// Downloads over HTTPS as the rest of the machine does them: with its proxy settings and its certificate store.
import http from 'node:http';
import tls from 'node:tls';

let prepared = false;

function useMachineSettings(): void {
  if (prepared) return;
  prepared = true;
  http.setGlobalProxyFromEnv();
  tls.setDefaultCACertificates([
    ...new Set([...tls.getCACertificates('default'), ...tls.getCACertificates('system')]),
  ]);
}

/**
 * Downloads a file into memory.
 *
 * @throws Error that names the address and the status or network error.
 */
export async function fetchBytes(url: string): Promise<Buffer> {
  useMachineSettings();
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(600_000) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return Buffer.from(await response.arrayBuffer());
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new Error(`${url}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}
