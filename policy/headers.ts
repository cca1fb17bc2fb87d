import { canonicalDomain, type Mailbox, parseMailbox } from './mailbox.ts';

type Header = readonly [name: string, value: string];

/** Longest From value that is read: beyond it nobody writes an author, only an attack. */
const longestFrom = 16_384;

/**
 * Splits a header block into its fields and unfolds them (RFC 5322 2.2.3): a line break before white space goes, the white
 * space stays. A line that begins no field is left out with the lines that continue it.
 * @param text everything before the empty line, or the whole message; CRLF or LF.
 */
export function readHeaders(text: string): Header[] {
  const fields: Header[] = [];
  let lines: string[] = [];
  const endField = () => {
    const field = readField(lines);
    if (field !== undefined) fields.push(field);
    lines = [];
  };
  for (const line of text.split(/\r?\n/)) {
    if (line === '') break;
    if (!isFolded(line)) endField();
    lines.push(line);
  }
  endField();
  return fields;
}

/**
 * One field, unfolded.
 * @param lines without their ends: the one that begins it, and those that continue it.
 * @returns undefined if the first line begins no field.
 */
export function readField([first = '', ...folded]: readonly string[]): Header | undefined {
  const colon = first.indexOf(':');
  if (colon < 1 || isFolded(first)) return undefined;
  return [first.slice(0, colon).trimEnd(), first.slice(colon + 1).trim() + folded.join('')];
}

function isFolded(line: string): boolean {
  return line[0] === ' ' || line[0] === '\t';
}

/**
 * The addresses of the author (RFC 5322 3.6.2, groups by RFC 6854).
 * @returns undefined unless there is exactly one From header, it has at least one address, and all of it can be read.
 */
export function authorsOf(headers: readonly Header[]): Mailbox[] | undefined {
  const values = headers.filter(([name]) => name.trim().toLowerCase() === 'from');
  const value = values[0]?.[1];
  return value === undefined || values.length > 1 ? undefined : parseAddressList(value);
}

/**
 * The host after `by` in a Received line (RFC 5321 4.4), in lower case; undefined if there is none.
 */
export function receivedBy(value: string): string | undefined {
  const words = withoutComments(value)?.split(/[\s;]+/) ?? [];
  const by = words.findIndex((word) => word.toLowerCase() === 'by');
  const host = by < 0 ? undefined : words[by + 1];
  return host === undefined || host === '' ? undefined : canonicalDomain(host);
}

/** Reads a list of mailboxes and groups; undefined if it holds no address or something that is none. */
function parseAddressList(value: string): Mailbox[] | undefined {
  if (value.length > longestFrom) return undefined;
  const text = withoutComments(value);
  if (text === undefined) return undefined;
  const elements = splitList(text);
  if (elements === undefined) return undefined;
  const mailboxes: Mailbox[] = [];
  for (const element of elements) {
    if (element.trim() === '') continue;
    const mailbox = parseElement(element);
    if (mailbox === undefined) return undefined;
    mailboxes.push(mailbox);
  }
  return mailboxes.length === 0 ? undefined : mailboxes;
}

/** `Some Name <local@domain>` or `local@domain`. The display name may be anything: nothing is decided by it. */
function parseElement(element: string): Mailbox | undefined {
  const open = findUnquoted(element, '<');
  if (open < 0) return parseMailbox(element.trim());
  const rest = element.slice(open + 1).trimEnd();
  const close = findUnquoted(rest, '>');
  if (close !== rest.length - 1) return undefined;
  return parseMailbox(rest.slice(0, close).trim());
}

/** Splits at the commas and semicolons between mailboxes and takes the names of groups away. */
function splitList(text: string): string[] | undefined {
  const elements: string[] = [];
  let start = 0;
  let angle = false;
  let group = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '"') {
      i = endOfQuote(text, i);
      if (i < 0) return undefined;
    } else if (char === '<') angle = true;
    else if (char === '>') angle = false;
    else if (angle) continue;
    else if (char === ',' || (char === ';' && group)) {
      elements.push(text.slice(start, i));
      start = i + 1;
      if (char === ';') group = false;
    } else if (char === ':') {
      if (group) return undefined;
      group = true;
      start = i + 1;
    }
  }
  if (group || angle) return undefined;
  elements.push(text.slice(start));
  return elements;
}

/** The text with every comment (nested, outside quotes) replaced by a space; undefined if one does not end. */
export function withoutComments(text: string): string | undefined {
  let out = '';
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (depth === 0 && char === '"') {
      const end = endOfQuote(text, i);
      if (end < 0) return undefined;
      out += text.slice(i, end + 1);
      i = end;
    } else if (char === '(') {
      if (depth++ === 0) out += ' ';
    } else if (depth > 0) {
      if (char === '\\') i++;
      else if (char === ')') depth--;
    } else out += char;
  }
  return depth === 0 ? out : undefined;
}

/** Index of the quote that ends the quoted string beginning at `start`, or -1. */
function endOfQuote(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '"') return i;
  }
  return -1;
}

function findUnquoted(text: string, char: string): number {
  for (let i = 0; i < text.length; i++) {
    if (text[i] === char) return i;
    if (text[i] === '"') {
      i = endOfQuote(text, i);
      if (i < 0) return -1;
    }
  }
  return -1;
}
