/** An address as everything behind the wire sees it. */
export interface Mailbox {
  /** Unquoted, letters as the client wrote them. */
  readonly localPart: string;
  /** Lower case, without a trailing dot; `[...]` for an address literal. Empty only for a bare `postmaster`. */
  readonly domain: string;
}

/** What a path of MAIL FROM or RCPT TO turned out to be. */
export type Path =
  | { readonly kind: 'mailbox'; readonly mailbox: Mailbox }
  | { readonly kind: 'null' }
  | { readonly kind: 'invalid'; readonly why: 'control' | 'nonAscii' | 'sourceRoute' | 'syntax' };

/** RFC 5321 4.5.3.1 names 256 octets; longer VERP addresses exist, beyond this nothing does. */
const longestPath = 512;

const atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const dotAtom = new RegExp(`^${atom}(?:\\.${atom})*$`);
const label = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const domainName = new RegExp(`^${label}(?:\\.${label})*$`);
/** Anything but the printable characters of ASCII. */
const unprintable = /[^ -~]/;
const literal = /^\[[\x21-\x5a\x5e-\x7e]{1,64}\]$/;

/**
 * Reads a path as the client sent it, without its brackets (RFC 5321 4.1.2). Strict about syntax, because a relay that
 * guesses can be led to another mailbox than the one that was judged.
 */
export function parsePath(text: string): Path {
  if (text === '') return { kind: 'null' };
  if (unprintable.test(text)) return { kind: 'invalid', why: /\p{Cc}/u.test(text) ? 'control' : 'nonAscii' };
  if (text.startsWith('@')) return { kind: 'invalid', why: 'sourceRoute' };
  if (text.toLowerCase() === 'postmaster') {
    return { kind: 'mailbox', mailbox: { localPart: text, domain: '' } };
  }
  const mailbox = parseMailbox(text);
  return mailbox === undefined ? { kind: 'invalid', why: 'syntax' } : { kind: 'mailbox', mailbox };
}

/** Reads `local@domain` or `"local"@domain`, ASCII only (RFC 5321 Mailbox, RFC 5322 addr-spec without white space). */
export function parseMailbox(text: string): Mailbox | undefined {
  if (text.length > longestPath) return undefined;
  const at = text.lastIndexOf('@');
  if (at < 1) return undefined;
  const domain = parseDomain(text.slice(at + 1));
  const localPart = parseLocalPart(text.slice(0, at));
  return domain === undefined || localPart === undefined ? undefined : { localPart, domain };
}

/** Lower-case name without its trailing dot, or an address literal; undefined if it is neither. */
export function parseDomain(text: string): string | undefined {
  if (literal.test(text)) return text.toLowerCase();
  // Before lower case is made: that of the Kelvin sign is an ASCII k.
  if (unprintable.test(text)) return undefined;
  const name = canonicalDomain(text);
  return name.length <= 253 && domainName.test(name) ? name : undefined;
}

/** How names of domains are compared: lower case, one trailing dot does not count. */
export function canonicalDomain(name: string): string {
  return (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase();
}

/** The address as it goes on the wire: the local part quoted again only where it has to be. */
export function formatMailbox({ localPart, domain }: Mailbox): string {
  const local = dotAtom.test(localPart) ? localPart : `"${localPart.replace(/["\\]/g, '\\$&')}"`;
  return domain === '' ? local : `${local}@${domain}`;
}

function parseLocalPart(text: string): string | undefined {
  if (!text.startsWith('"')) return dotAtom.test(text) ? text : undefined;
  if (!/^"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])+"$/.test(text)) return undefined;
  return text.slice(1, -1).replace(/\\(.)/g, '$1');
}
