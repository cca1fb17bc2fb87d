import { isIP } from 'node:net';
import { checkServerIdentity, type TLSSocket } from 'node:tls';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import type { TlsResult } from '../../bundle/state.ts';
import type { OutboundSocket } from '../haraka.ts';

/** What is missing in a session for the TLS that it must have. */
export interface TlsProblem {
  readonly result: TlsResult;
  /** What strangers put into a certificate can stand in it. */
  readonly detail: string;
}

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
 * @param failed told what is missing, before Haraka is.
 */
export function enforceTls(
  socket: OutboundSocket,
  terms: TlsTerms,
  failed: (problem: TlsProblem) => void,
): void {
  const upgrade = socket.upgrade.bind(socket);
  socket.upgrade = (options, done) => {
    upgrade({ ...options, ...handshake(terms) }, (chainTrusted, chainError, certificate, cipher) => {
      const problem = peerProblem(terms, socket.cleartext, chainTrusted, chainError);
      if (problem === undefined) socket.isSecure = () => socket.targetsocket.encrypted === true;
      else failed(problem);
      done(problem === undefined, problem && new Error(problem.detail), certificate, cipher);
    });
  };
}

/**
 * What is missing in a certificate for the level that the terms ask for.
 * @param chainError why Node.js does not trust the chain, if it says so: the code of an error, or an error.
 * @returns undefined if nothing is.
 */
export function peerProblem(
  terms: TlsTerms,
  socket: TLSSocket | undefined,
  chainTrusted: boolean,
  chainError: unknown,
): TlsProblem | undefined {
  const { chain, name } = required(terms);
  // Nothing is wrong with the certificate: there is no store to look it up in.
  if (chain && terms.untrusted !== undefined)
    return { result: 'validation-failure', detail: terms.untrusted };
  if (chain && !chainTrusted) {
    const detail = codeOf(chainError) ?? 'certificate is not trusted';
    return {
      result: detail === 'CERT_HAS_EXPIRED' ? 'certificate-expired' : 'certificate-not-trusted',
      detail,
    };
  }
  if (!name) return undefined;
  const certificate = socket?.getPeerCertificate();
  if (certificate === undefined) return { result: 'validation-failure', detail: 'no certificate' };
  const mismatch = checkServerIdentity(terms.serverName, certificate);
  return mismatch && { result: 'certificate-host-mismatch', detail: mismatch.message };
}

/** The code of a failure, which says the same each time; else its message. Node.js and Haraka give strings as well as errors. */
export function codeOf(failure: unknown): string | undefined {
  if (typeof failure === 'string') return failure;
  if (!(failure instanceof Error)) return undefined;
  return 'code' in failure && typeof failure.code === 'string' ? failure.code : failure.message;
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
