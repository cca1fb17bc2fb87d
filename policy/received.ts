import type { Address } from './ip/address.ts';
import { parseAddress } from './ip/address.ts';

/**
 * The address that a hop saw at the other end of its connection: the TCP-info of a Received line (RFC 5321 4.4). Where the
 * writer puts it is known for Postfix, Exim, Sendmail, Exchange, Haraka, Google and qmail; what the client said of itself (its
 * EHLO name or literal) is never read, because anybody can say anything there.
 * @param value of a Received field, unfolded.
 * @returns undefined if the line has none, or more than one that could be it.
 */
export function tcpInfoOf(value: string): Address | undefined {
  const clause = readFromClause(value);
  if (clause === undefined) return undefined;
  const found = clause.comments.flatMap((comment) => addressIn(comment) ?? []);
  const [first] = found;
  if (first === undefined) return eximWithoutName(clause);
  return found.every((text) => text === first) ? readAddress(first) : undefined;
}

/** `from` with its name and comments: everything before `by`. */
interface FromClause {
  readonly name: string;
  /** Top-level comments without the comments inside them. */
  readonly comments: readonly string[];
}

function readFromClause(value: string): FromClause | undefined {
  const words: string[] = [];
  const comments: string[] = [];
  for (const token of tokens(value)) {
    if (token.comment) comments.push(token.text);
    // The name itself may be "by".
    else if (token.text.toLowerCase() === 'by' && words.length + comments.length > 1) {
      const [from, name = '', ...more] = words;
      return from?.toLowerCase() === 'from' && more.length === 0 ? { name, comments } : undefined;
    } else words.push(token.text);
  }
  return undefined;
}

/** Words and comments; quotes mean nothing, for no hop writes them here and a client's must not hide anything. */
function* tokens(value: string): Generator<{ text: string; comment: boolean }> {
  let depth = 0;
  let text = '';
  for (const char of value) {
    if (char === '(') {
      if (depth++ === 0) {
        if (text !== '') yield { text, comment: false };
        text = '';
      }
    } else if (char === ')' && depth > 0) {
      if (--depth === 0) {
        yield { text: text.trim(), comment: true };
        text = '';
      }
    } else if (depth > 1) {
      // A comment in a comment, such as "(may be forged)".
    } else if (depth === 1 || !/\s/.test(char)) text += char;
    else {
      if (text !== '') yield { text, comment: false };
      text = '';
    }
  }
}

/** `rdns [192.0.2.1]`, `[192.0.2.1]:25 helo=x`, `user@rdns [IPv6:2001:db8::1]`. */
const bracketed = /^(?:[^\s[\]]+\s+)?\[([^\s[\]]+)\](?::\d+)?(?:\s+(?:helo|ident|port)=\S+)*$/i;
/** `192.0.2.1`, as Exchange and qmail write it. */
const bare = /^[0-9a-f]*[.:][0-9a-f.:]+$/i;

function addressIn(comment: string): string | undefined {
  const inBrackets = bracketed.exec(comment)?.[1];
  // qmail: "from rdns (HELO [192.0.2.1]) (192.0.2.2)".
  if (inBrackets !== undefined) return /^(?:HELO|EHLO)\s/i.test(comment) ? undefined : inBrackets;
  return bare.test(comment) ? comment : undefined;
}

/** Exim about a client whose address has no name: `from [192.0.2.1] (helo=x)`, with the address first and the EHLO marked. */
function eximWithoutName({ name, comments: [comment = ''] }: FromClause): Address | undefined {
  const address = /^\[([^\s[\]]+)\](?::\d+)?$/.exec(name)?.[1];
  if (address === undefined || !/^(?:(?:helo|ident|port)=\S+\s*)+$/i.test(comment)) return undefined;
  return readAddress(address);
}

function readAddress(text: string): Address | undefined {
  return parseAddress(text.replace(/^IPv6:/i, ''));
}
