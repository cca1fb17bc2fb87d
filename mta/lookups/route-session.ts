import { createHmac } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import type { RouteProbe } from '../../bundle/state.ts';
import type { HarakaHop } from '../haraka.ts';
import type { MailDns } from '../outbound/exchangers.ts';
import { resolveRoute } from '../outbound/next-hop.ts';
import { tlsTermsOfRoute } from '../outbound/terms.ts';
import { codeOf, handshake, peerProblem } from '../outbound/tls-level.ts';
import { SmtpDialogue, type SmtpReply } from './smtp-dialogue.ts';

/** Why no session could be had. The message stays the same while the cause does: it goes into a status. */
export class RouteProblem extends Error {
  readonly reason: Exclude<RouteProbe['reason'], 'Connected'>;

  constructor(reason: RouteProblem['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

/** A session with a Route's server that has come as far as a delivery comes before its MAIL command. */
export interface RouteSession {
  readonly dialogue: SmtpDialogue;
  /** Seconds since the epoch; absent without TLS. */
  readonly certificateExpires?: number;
}

/** Who asks: the name in EHLO, and the name servers that a delivery would ask too. */
export interface RouteClient {
  readonly heloName: string;
  readonly dns: MailDns;
}

export interface RouteCredentials {
  readonly username: string;
  readonly password: string;
}

/**
 * Opens a session as a delivery would: the same addresses in the same order, the same TLS level, the same credentials.
 * @param signal ends it at any time.
 * @throws RouteProblem
 */
export async function openRoute(
  route: RoutePolicy,
  { heloName, dns }: RouteClient,
  credentials: RouteCredentials | undefined,
  signal: AbortSignal,
): Promise<RouteSession> {
  const where = `${route.host}:${route.port}`;
  if (route.authenticated && credentials === undefined)
    throw new RouteProblem('AuthRejected', `The credentials for ${where} are not there`);
  const hops = await Promise.race([resolveRoute(route, heloName, credentials, dns), aborted(signal)]).catch(
    () => {
      throw new RouteProblem(
        'TimedOut',
        `No answer in time to the question for the address of ${route.host}`,
      );
    },
  );
  let problem = new RouteProblem('NameNotFound', `${route.host} has no address`);
  for (const [position, hop] of hops.entries()) {
    try {
      return await openHop(route, hop, where, signal);
    } catch (error) {
      if (!(error instanceof RouteProblem)) throw error;
      if (position === 0) problem = error;
      if (signal.aborted) break;
    }
  }
  throw problem;
}

async function openHop(
  route: RoutePolicy,
  hop: HarakaHop,
  where: string,
  signal: AbortSignal,
): Promise<RouteSession> {
  const step = async <T>(reason: RouteProblem['reason'], what: string, work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      if (signal.aborted) throw new RouteProblem('TimedOut', `${where} does not answer in time: ${what}`);
      throw new RouteProblem(reason, `${where}: ${what}: ${causeOf(error)}`);
    }
  };
  const expect = (reason: RouteProblem['reason'], what: string, reply: SmtpReply) => {
    if (reply.code >= 300) throw new RouteProblem(reason, `${where} answers ${what} with ${codesOf(reply)}`);
  };
  const address = { host: hop.exchange, port: hop.port };
  const dialogue = await step('ConnectFailed', 'no connection', SmtpDialogue.connect(address, signal));
  try {
    let secured: TLSSocket | undefined;
    const terms = tlsTermsOfRoute(route);
    const secure = async () => {
      secured = await step('TlsFailed', 'TLS handshake', dialogue.secure(handshake(terms)));
      const { authorized, authorizationError } = secured;
      const problem = peerProblem(terms, secured, authorized, authorizationError);
      if (problem !== undefined)
        throw new RouteProblem('TlsFailed', `${where}: TLS verification: ${problem.detail}`);
    };
    const send = (line: string, what: string) => step('ConnectRejected', what, dialogue.send(line));
    const hello = async (): Promise<string[]> => {
      const verb = route.protocol === 'LMTP' ? 'LHLO' : 'EHLO';
      const reply = await send(`${verb} ${hop.bind_helo}`, verb);
      if (reply.code >= 300 && verb === 'EHLO' && secured === undefined && route.tls.mode !== 'Required') {
        expect('ConnectRejected', 'HELO', await send(`HELO ${hop.bind_helo}`, 'HELO'));
        return [];
      }
      expect('ConnectRejected', verb, reply);
      return reply.lines.slice(1).map((keyword) => keyword.toUpperCase().trim());
    };

    const { mode } = route.tls;
    if (mode === 'Implicit') await secure();
    expect('ConnectRejected', 'the connection', await step('ConnectFailed', 'no greeting', dialogue.read()));
    let keywords = await hello();
    if (mode === 'Required' || (mode === 'Opportunistic' && keywords.includes('STARTTLS'))) {
      if (!keywords.includes('STARTTLS')) throw new RouteProblem('TlsFailed', `${where} offers no STARTTLS`);
      expect('TlsFailed', 'STARTTLS', await send('STARTTLS', 'STARTTLS'));
      await secure();
      keywords = await hello();
    }
    if (hop.auth_user !== undefined && hop.auth_pass !== undefined) {
      if (secured === undefined)
        throw new RouteProblem('AuthRejected', `${where}: AUTH is not sent without TLS`);
      const credentials = { username: hop.auth_user, password: hop.auth_pass };
      const reply = await step('AuthRejected', 'AUTH', authenticate(dialogue, keywords, credentials));
      expect('AuthRejected', 'AUTH', reply);
    }
    const expires = secured === undefined ? Number.NaN : Date.parse(secured.getPeerCertificate().valid_to);
    return Number.isNaN(expires)
      ? { dialogue }
      : { dialogue, certificateExpires: Math.floor(expires / 1000) };
  } catch (error) {
    dialogue.close();
    throw error;
  }
}

/** The mechanisms that a delivery knows, in its order. */
async function authenticate(
  dialogue: SmtpDialogue,
  keywords: readonly string[],
  { username, password }: RouteCredentials,
): Promise<SmtpReply> {
  const offered = keywords.find((keyword) => /^AUTH[ =]/.test(keyword))?.split(/[ =]+/) ?? [];
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  if (offered.includes('CRAM-MD5')) {
    const challenge = await dialogue.send('AUTH CRAM-MD5');
    if (challenge.code !== 334) return challenge;
    const digest = createHmac('md5', password).update(Buffer.from(challenge.lines[0] ?? '', 'base64'));
    return dialogue.send(base64(`${username} ${digest.digest('hex')}`));
  }
  if (offered.includes('PLAIN')) return dialogue.send(`AUTH PLAIN ${base64(`\0${username}\0${password}`)}`);
  if (!offered.includes('LOGIN')) throw new Error('no mechanism is offered that is known here');
  for (const line of ['AUTH LOGIN', base64(username)]) {
    const reply = await dialogue.send(line);
    if (reply.code !== 334) return reply;
  }
  return dialogue.send(base64(password));
}

/** `550 5.7.1`: the text after it can differ from time to time. */
function codesOf({ code, lines }: SmtpReply): string {
  const enhanced = /^[2-5]\.\d{1,3}\.\d{1,3}\b/.exec(lines[0] ?? '')?.[0];
  return enhanced === undefined ? String(code) : `${code} ${enhanced}`;
}

/** The message of a socket's error names addresses, of which a name can have several. */
function causeOf(error: unknown): string {
  return codeOf(error) ?? String(error);
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
