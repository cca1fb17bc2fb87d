import type { Certificate } from './certificate-watch.ts';
import type { Haraka } from './haraka.ts';

/**
 * Lets Haraka serve this certificate from the next handshake on: STARTTLS, and TLS from the first byte. Sessions that run keep theirs.
 * Haraka itself reads its certificate once (its file cache follows a change, the context made of it does not).
 */
export function serveCertificate(
  { tlsSocket, server }: Pick<Haraka, 'tlsSocket' | 'server'>,
  { cert, key }: Certificate,
): void {
  const options = tlsSocket.certsByHost['*'];
  if (options === undefined) throw new Error('the TLS settings are not loaded');
  options.key = [key];
  options.cert = [cert];
  // Makes the context for clients that name a host (SNI) anew from these; the others get theirs from the options themselves.
  tlsSocket.load_default_opts();
  for (const { tlsServer } of server.listeners) tlsServer?.setSecureContext({ ...options, key, cert });
}
