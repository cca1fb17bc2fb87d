import { withoutComments } from './headers.ts';
import { parseDomain, parseMailbox } from './mailbox.ts';
import type { Authentication, AuthenticationResult, DataFacts, DmarcPolicy } from './types.ts';

/** Methods that a domain wants to see in the header. */
interface ShownMethods {
  readonly spf: boolean;
  readonly dkim: boolean;
  readonly dmarc: boolean;
}

/** Signatures that are written out: a header of thousands helps nobody. */
const shownSignatures = 10;

/** Longest value of a field that is read; beyond it nobody reports results, only an attack does. */
const longestValue = 16_384;

const results = [
  'none',
  'pass',
  'fail',
  'softfail',
  'neutral',
  'policy',
  'temperror',
  'permerror',
] satisfies AuthenticationResult[];

/**
 * The value of our Authentication-Results field (RFC 8601 section 2.2), one method to a line. What comes from the message
 * stands in it only if it is a plain name or address: nobody writes a result into it through a crafted name.
 * @param authservId our name.
 */
export function formatResults(
  authservId: string,
  { spf, dkim, dmarc, arc }: Authentication,
  shown: ShownMethods,
): string {
  const lines: string[] = [];
  if (shown.spf) lines.push(`spf=${spf.result}${identityOf(spf.identity)}`);
  if (shown.dkim) {
    for (const { result, domain, selector } of dkim.slice(0, shownSignatures)) {
      lines.push(`dkim=${result}${nameOf('header.d', domain)}${nameOf('header.s', selector)}`);
    }
    if (dkim.length === 0) lines.push('dkim=none');
  }
  if (shown.dmarc) {
    const policy = dmarc.policy === undefined ? '' : ` policy.dmarc=${dmarc.policy}`;
    lines.push(`dmarc=${dmarc.result}${policy}${nameOf('header.from', dmarc.from)}`);
  }
  if (arc.result !== 'none') lines.push(`arc=${arc.result}${nameOf('header.d', arc.sealer)}`);
  return [authservId, ...lines].join(';\r\n\t');
}

function identityOf(identity: Authentication['spf']['identity']): string {
  if (identity === undefined) return '';
  const { property, value } = identity;
  const plain = property === 'helo' ? plainName(value) : plainAddress(value);
  return plain === undefined ? '' : ` smtp.${property}=${plain}`;
}

/** An address without anything that would have to be quoted. */
function plainAddress(text: string): string | undefined {
  const mailbox = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{3,320}$/.test(text) ? parseMailbox(text) : undefined;
  return mailbox === undefined ? undefined : `${mailbox.localPart}@${mailbox.domain}`;
}

function plainName(text: string): string | undefined {
  const name = parseDomain(text);
  return name?.startsWith('[') ? undefined : name;
}

function nameOf(property: string, text: string | undefined): string {
  const name = text === undefined ? undefined : plainName(text);
  return name === undefined ? '' : ` ${property}=${name}`;
}

/**
 * The name of whoever wrote an Authentication-Results field, in lower case; undefined if it cannot be read.
 * @param value unfolded.
 */
export function authservIdOf(value: string): string | undefined {
  const text = withoutComments(value.slice(0, longestValue))?.trimStart();
  if (text === undefined) return undefined;
  const quoted = /^"((?:[^"\\]|\\.)*)"/.exec(text)?.[1]?.replace(/\\(.)/g, '$1');
  return (quoted ?? /^[^\s;]+/.exec(text)?.[0])?.toLowerCase();
}

/**
 * What a gateway has found, by its topmost Authentication-Results with this name (D15): it writes above what came in, so those
 * below are anybody's.
 * @returns undefined if there is none, or it says nothing of SPF, DKIM or DMARC.
 */
export function trustedResults(
  headers: DataFacts['headers'],
  authservId: string,
): Authentication | undefined {
  const wanted = authservId.toLowerCase();
  const value = headers.find(
    ([name, text]) => name.toLowerCase() === 'authentication-results' && authservIdOf(text) === wanted,
  )?.[1];
  return value === undefined || value.length > longestValue ? undefined : parseResults(value);
}

function parseResults(value: string): Authentication | undefined {
  const dkim: { result: AuthenticationResult; domain: string; selector: string }[] = [];
  let spf: Authentication['spf'] | undefined;
  let dmarc: Authentication['dmarc'] | undefined;
  for (const { text, comments } of splitMethods(value)?.slice(1) ?? []) {
    const [, method, word] = /^\s*([a-z0-9-]+)(?:\s*\/\s*\d+)?\s*=\s*([a-z]+)/i.exec(text) ?? [];
    const result = toResult(word);
    if (method === undefined || result === undefined) continue;
    const property = (name: string) => propertyOf(text, name);
    if (method.toLowerCase() === 'spf') {
      const from = property('smtp.mailfrom') ?? property('smtp.mail');
      spf ??= { result, ...(from !== undefined && { identity: { property: 'mailfrom', value: from } }) };
    } else if (method.toLowerCase() === 'dkim') {
      const domain = property('header.d') ?? property('header.i')?.replace(/^.*@/, '') ?? '';
      dkim.push({ result, domain, selector: property('header.s') ?? '' });
    } else if (method.toLowerCase() === 'dmarc') {
      const from = property('header.from');
      const policy = toPolicy(property('policy.dmarc') ?? /\bp=([a-z]+)/i.exec(comments)?.[1]);
      dmarc ??= { result, ...(from !== undefined && { from }), ...(policy !== undefined && { policy }) };
    }
  }
  if (spf === undefined && dmarc === undefined && dkim.length === 0) return undefined;
  return {
    spf: spf ?? { result: 'none' },
    dkim,
    dmarc: dmarc ?? { result: 'none' },
    arc: { result: 'none' },
  };
}

/**
 * The parts between semicolons, with comments and quoted strings taken out: both hold what senders choose, so nothing in them
 * may end a part or begin a result. Undefined if one of them does not end.
 */
function splitMethods(value: string): { text: string; comments: string }[] | undefined {
  const parts = [{ text: '', comments: '' }];
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < value.length; i++) {
    const char = value[i] ?? '';
    const part = parts[parts.length - 1];
    if (part === undefined) return undefined;
    const escaped = char === '\\' && (quoted || depth > 0);
    if (escaped) i += 1;
    else if (quoted) quoted = char !== '"';
    else if (char === '(') depth += 1;
    else if (char === ')' && depth > 0) depth -= 1;
    else if (depth > 0) part.comments += char;
    else if (char === '"') quoted = true;
    else if (char === ';') parts.push({ text: '', comments: '' });
    else part.text += char;
    // What stood here is a value of nobody's: it keeps words apart.
    if (char === ')' || (char === '"' && !quoted)) part.text += ' ';
  }
  return depth === 0 && !quoted ? parts : undefined;
}

function propertyOf(text: string, name: string): string | undefined {
  for (const word of text.split(/\s+/)) {
    const equals = word.indexOf('=');
    if (equals > 0 && word.slice(0, equals).toLowerCase() === name) {
      return word.slice(equals + 1);
    }
  }
  return undefined;
}

/** The result as one that we know; `hardfail` is what some servers write for an SPF fail. */
export function toResult(word: string | undefined): AuthenticationResult | undefined {
  const lower = word?.toLowerCase();
  return lower === 'hardfail' ? 'fail' : results.find((one) => one === lower);
}

export function toPolicy(word: string | undefined): DmarcPolicy | undefined {
  const lower = word?.toLowerCase();
  return lower === 'none' || lower === 'quarantine' || lower === 'reject' ? lower : undefined;
}
