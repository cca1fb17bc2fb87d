import { isIP } from 'node:net';
import { checkServerIdentity, type TLSSocket } from 'node:tls';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import type { OutboundSocket } from '../haraka.ts';

/** What is asked of TLS on the way to one host. */
export interface TlsTerms extends Omit<RoutePolicy['tls'], 'serverName'> {
  /** The name that the certificate must carry, and that SNI asks for. */
  readonly serverName: string;
  /** Why no certificate can be trusted: the CAs themselves cannot be read, say. */
  readonly untrusted?: string;
}

/** Options of the handshake. Nothing is verified by Node.js itself: chain and name are asked for apart (T6). */
export function handshake({ serverName, caBundle }: TlsTerms): Record<string, unknown> {
  return {
    ...(isIP(serverName) === 0 && { servername: serverName }),
    ...(caBundle !== undefined && { ca: caBundle }),
    minVersion: 'TLSv1.2',
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  };
}

/**
 * Makes `upgrade` of the socket obey the terms: name, CAs, level of verification.
 * The callback that Haraka gives is told "authorized" only if all that the terms ask for was proven; Haraka then goes on
 * only if so (with force_tls), and `isSecure` says the same.
 */
export function enforceTls(socket: OutboundSocket, terms: TlsTerms): void {
  const upgrade = socket.upgrade.bind(socket);
  socket.upgrade = (options, done) => {
    upgrade({ ...options, ...handshake(terms) }, (chainTrusted, chainError, certificate, cipher) => {
      const problem = peerProblem(terms, socket.cleartext, chainTrusted, chainError);
      if (problem === undefined) socket.isSecure = () => socket.targetsocket.encrypted === true;
      done(problem === undefined, problem, certificate, cipher);
    });
  };
}

/**
 * What is missing in a certificate for the level that the terms ask for.
 * @param chainError why Node.js does not trust the chain, if it says so.
 * @returns undefined if nothing is.
 */
export function peerProblem(
  terms: TlsTerms,
  socket: TLSSocket | undefined,
  chainTrusted: boolean,
  chainError: Error | undefined,
): Error | undefined {
  const { chain, name } = required(terms);
  if (chain && terms.untrusted !== undefined) return new Error(terms.untrusted);
  if (chain && !chainTrusted) return chainError ?? new Error('certificate is not trusted');
  if (!name) return undefined;
  const certificate = socket?.getPeerCertificate();
  return certificate === undefined
    ? new Error('no certificate')
    : checkServerIdentity(terms.serverName, certificate);
}

/** Opportunistic TLS protects against listeners only; to verify and then send anyway would tell nobody anything. */
function required({ mode, verify }: TlsTerms): { chain: boolean; name: boolean } {
  if (mode === 'Opportunistic' || mode === 'Disabled') return { chain: false, name: false };
  return {
    chain: verify === 'TrustedCA' || verify === 'TrustedCAAndHostname',
    name: verify === 'Hostname' || verify === 'TrustedCAAndHostname',
  };
}

/** Hides an offer of STARTTLS in the EHLO reply, for Routes that use no TLS or have it already. */
export function hideStartTls(socket: OutboundSocket): void {
  const emit = socket.emit.bind(socket);
  socket.emit = (event: string | symbol, ...args: unknown[]) => {
    const [line] = args;
    if (event === 'line' && typeof line === 'string' && /^250[ -]STARTTLS\s*$/i.test(line)) {
      return emit(event, `${line.slice(0, 4)}X-NO-TLS\r\n`);
    }
    return emit(event, ...args);
  };
}
