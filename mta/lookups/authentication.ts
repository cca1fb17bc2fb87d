import { type AuthenticateResult, authenticate, type DNSResolver } from 'mailauth';
import { toPolicy, toResult } from '../../policy/authentication-results.ts';
import type { Authentication, AuthenticationLookup, AuthenticationResult } from '../../policy/types.ts';
import type { Ask } from './dns-cache.ts';

/** What is looked at beside the message itself. */
interface Envelope {
  /** Path of MAIL FROM without brackets; empty for the null sender. */
  readonly from: string;
  /** What the client calls itself. */
  readonly helo: string;
}

/** Questions that one message may cause: 50 seals, 10 signatures, 10 terms of SPF with their addresses, DMARC. */
const maxQuestions = 150;
/** Milliseconds after which no further question is asked; what is still open is `temperror`. */
const deadlineMs = 8_000;
/** RFC 8301 section 3.2 */
const minKeyBits = 1_024;

/**
 * SPF (RFC 7208), DKIM (RFC 6376, 8301), DMARC (RFC 9989) and ARC (RFC 8617) of a message.
 * @param content octets as they were before dot-stuffing. At most as many signatures as the caller wants to pay for.
 * @param heloName our name, for SPF macros.
 * @returns `temperror` where DNS did not answer; it does not throw for anything that a message or a name server can hold.
 */
export async function verifyMessage(
  content: Buffer,
  { client }: AuthenticationLookup,
  { from, helo }: Envelope,
  { ask, heloName, now }: { readonly ask: Ask; readonly heloName: string; readonly now: () => number },
): Promise<Authentication> {
  const end = now() + deadlineMs;
  let questions = 0;
  const resolver: Ask = (name, type) => {
    questions += 1;
    if (questions <= maxQuestions && now() < end) return ask(name, type);
    return Promise.reject(Object.assign(new Error('too many questions'), { code: 'ETIMEOUT' }));
  };
  const result = await authenticate(content, {
    // Its type leaves out mail exchangers, which it asks for and reads as objects.
    resolver: resolver as DNSResolver,
    sender: from,
    helo,
    mta: heloName,
    minBitLength: minKeyBits,
    rejectRsaSha1: true,
    disableBimi: true,
    trustReceived: false,
    ...(client !== undefined && { ip: client }),
  });
  return toFacts(result, client === undefined, { from, helo });
}

function toFacts(
  { spf, dkim, dmarc, arc }: AuthenticateResult,
  clientUnknown: boolean,
  { from, helo }: Envelope,
): Authentication {
  const sealer = domainOfSeal(dkim);
  const recorded: unknown = arc !== false ? arc.authenticationResults?.['dmarc']?.result : undefined;
  const arcResult = arc === false ? undefined : toResult(arc.status.result);
  const policy = dmarc === false ? undefined : toPolicy(dmarc.policy);
  const author = dmarc === false ? undefined : dmarc.status.header?.from;
  return {
    spf: {
      result: clientUnknown || spf === false ? 'none' : known(spf.status.result),
      identity: from === '' ? { property: 'helo', value: helo } : { property: 'mailfrom', value: from },
    },
    dkim: dkim.results
      // Without a signature there is one result, "none", of nobody.
      .filter(({ signingDomain }) => signingDomain !== undefined)
      .map(({ status, signingDomain = '', selector = '' }) => ({
        result: known(status.result),
        domain: String(signingDomain),
        selector: String(selector),
      })),
    dmarc: {
      result: dmarc === false ? 'none' : known(dmarc.status.result),
      ...(typeof author === 'string' && { from: author }),
      ...(policy !== undefined && { policy }),
    },
    arc: {
      result: arcResult === 'pass' || arcResult === 'fail' ? arcResult : 'none',
      ...(sealer !== undefined && { sealer }),
      ...(typeof recorded === 'string' && { recordedDmarc: recorded.toLowerCase() }),
    },
  };
}

function domainOfSeal({ arc }: AuthenticateResult['dkim']): string | undefined {
  const value: unknown = arc?.lastEntry?.['arc-seal']?.parsed?.['d']?.value;
  return typeof value === 'string' ? value : undefined;
}

/** A word that no RFC knows means that the method has no result. */
function known(word: string): AuthenticationResult {
  return toResult(word) ?? 'none';
}
