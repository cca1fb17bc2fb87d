import * as z from 'zod';

/** SHA-256 as 64 lower-case hex digits. Passed in: this folder runs anywhere. */
export type Sha256 = (bytes: Uint8Array | string) => string;

/** A unit as it lies in its shard. */
export interface RawUnit {
  readonly key: string;
  /** Its JSON value. @throws Error naming the file if it is none. */
  readonly parse: () => unknown;
}

/**
 * Cuts a shard, which is the canonical JSON object of its units (no white space), into units without parsing them: what is not
 * needed costs next to nothing, and of a full list no more than one piece is in memory as text.
 *
 * @param file for messages
 * @param bytes after gunzip
 * @throws Error naming the file if the bytes have another hash or hold no JSON object; it never quotes content
 */
export function* rawUnits(
  file: string,
  bytes: Uint8Array,
  sha256: string,
  hash: Sha256,
): Generator<RawUnit, void> {
  if (hash(bytes) !== sha256) throw new Error(`${file}: its content does not match the hash in the index`);
  const wrong = () => new Error(`${file}: is not a JSON object`);
  const parse = (from: number, to: number): unknown => {
    try {
      return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(from, to)));
    } catch {
      // The parser's own message would quote the text, which may be a key.
      throw wrong();
    }
  };
  if (bytes.length === 2 && bytes[0] === byte['{'] && bytes[1] === byte['}']) return;
  let at = 0;
  for (let before: number = byte['{']; ; before = byte[',']) {
    if (bytes[at] !== before || bytes[at + 1] !== byte['"']) throw wrong();
    const colon = endOfValue(bytes, at + 1);
    if (bytes[colon] !== byte[':']) throw wrong();
    const key = parse(at + 1, colon);
    if (typeof key !== 'string') throw wrong();
    at = endOfValue(bytes, colon + 1);
    const end = at;
    yield { key, parse: () => parse(colon + 1, end) };
    if (bytes[at] === byte['}'] && at + 1 === bytes.length) return;
  }
}

/**
 * Reads one unit of a shard.
 *
 * @throws Error naming file, unit and what is wrong where, without the values (a secret shard comes through here too)
 */
export function readUnit<U>(
  file: string,
  { key, parse }: RawUnit,
  read: (key: string, value: unknown) => U,
): U {
  const value = parse();
  try {
    return read(key, value);
  } catch (error) {
    throw new Error(`${file}: ${key}: ${describe(error)}`);
  }
}

const byte = { '"': 34, ',': 44, ':': 58, '[': 91, '\\': 92, ']': 93, '{': 123, '}': 125 } as const;

/** The position behind the JSON value that starts at `from`: of a comma, colon or bracket that is not inside it, or the end. */
function endOfValue(bytes: Uint8Array, from: number): number {
  let depth = 0;
  let at = from;
  for (; at < bytes.length; at++) {
    const one = bytes[at];
    if (one === byte['"']) at = endOfString(bytes, at);
    else if (one === byte['['] || one === byte['{']) depth++;
    else if (one === byte[']'] || one === byte['}']) {
      if (depth === 0) return at;
      depth--;
    } else if (depth === 0 && (one === byte[','] || one === byte[':'])) return at;
  }
  return at;
}

/** The position of the quotation mark that ends a string. Bytes of a character beyond ASCII are never one. */
function endOfString(bytes: Uint8Array, from: number): number {
  let at = from + 1;
  while (at < bytes.length && bytes[at] !== byte['"']) at += bytes[at] === byte['\\'] ? 2 : 1;
  return at;
}

function describe(error: unknown): string {
  if (!(error instanceof z.ZodError)) return error instanceof Error ? error.message : String(error);
  return error.issues
    .map(({ path, message }) => `${path.map(String).join('.') || '(root)'}: ${message}`)
    .join('; ');
}
