import { readField } from '../policy/headers.ts';
import type { DataFacts, HeaderField } from '../policy/types.ts';

const cr = 0x0d;
const lf = 0x0a;
const dot = 0x2e;
const space = 0x20;
const tab = 0x09;

/** Nothing legitimate comes near it, and reading it must stay cheap. */
const maxHeaderBytes = 1_048_576;

/** Says something of a header field: its name as written, and its value, unfolded. */
type FieldTest = (name: string, value: string) => boolean;

/** Lines of the header that belong together: a field, or (without one) lines that begin none. */
interface HeaderBlock {
  readonly lines: readonly Buffer[];
  readonly field: HeaderField | undefined;
}

/**
 * A message while it arrives: the lines exactly as they came (with dot-stuffing and CRLF), and what the scan of their bytes
 * found (G20). Haraka's own message stream is not used: it parses, re-chunks and copies every line several times, and what it
 * gives back is not always what came in.
 */
export class Message {
  readonly lines: Buffer[] = [];
  smuggling: DataFacts['smuggling'] = 'none';
  /** Octets without dot-stuffing, counted on even when they are no longer kept. */
  size = 0;
  private readonly maxBytes: number;
  /** The header as it was read, and of how many lines: it is asked several times for the same message. */
  private read: { lines: number; blocks: readonly HeaderBlock[]; fields: readonly HeaderField[] } | undefined;

  private joined: { lines: number; bytes: Buffer } | undefined;

  /** @param maxBytes beyond this size lines are counted and dropped: the message will be refused anyway. */
  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /**
   * Takes the next line of DATA.
   * @param line ends in LF, as it came from the wire.
   * @returns false for a line that ends in a bare LF: nobody can say any more where the message ends.
   */
  add(line: Buffer): boolean {
    const end = line.length - 2;
    if (line[end] !== cr) {
      this.smuggling = 'bareLf';
      return false;
    }
    if (line.indexOf(cr) !== end) this.smuggling = 'bareCr';
    this.size += line[0] === dot ? line.length - 1 : line.length;
    if (this.size <= this.maxBytes) this.lines.push(line);
    else this.lines.length = 0;
    return true;
  }

  get tooLarge(): boolean {
    return this.size > this.maxBytes;
  }

  /** Looks for NUL in the whole message. */
  scanForNul(): void {
    if (this.smuggling === 'none' && this.whole().includes(0)) this.smuggling = 'nul';
  }

  /**
   * The message as SMTP carries it, dot-stuffed, without the final dot.
   * @param drop header fields for which it is true are left out, with all their lines. So are lines that continue a field which
   * is not there: they would continue ours.
   * @returns not to be written to: it may be what others get too.
   */
  toWire(drop: FieldTest): Buffer {
    const { blocks } = this.header();
    const kept = keptBlocks(blocks, drop);
    if (kept.length === blocks.length) return this.whole();
    const length = blocks.reduce((sum, { lines }) => sum + bytesOf(lines), 0);
    return Buffer.concat([...kept.flatMap(({ lines }) => lines), this.whole().subarray(length)]);
  }

  /** The octets that the author signed: without dot-stuffing. Parameters as for `toWire`. */
  toContent(drop: FieldTest): Buffer {
    return Buffer.concat(this.linesWithout(drop).map((line) => (line[0] === dot ? line.subarray(1) : line)));
  }

  /** Header fields in order, as the policy (and `postern explain`) reads them. */
  headers(): readonly HeaderField[] {
    return this.header().fields;
  }

  /** A header that nobody can want to read; a second From could hide at its end. */
  get headerTooLarge(): boolean {
    return bytesOf(this.headerLines()) > maxHeaderBytes;
  }

  private linesWithout(drop: FieldTest): readonly Buffer[] {
    const { blocks } = this.header();
    const kept = keptBlocks(blocks, drop);
    if (kept.length === blocks.length) return this.lines;
    const length = blocks.reduce((sum, { lines }) => sum + lines.length, 0);
    return [...kept.flatMap(({ lines }) => lines), ...this.lines.slice(length)];
  }

  private header() {
    const lines = this.lines.length;
    if (this.read?.lines !== lines) {
      const blocks = blocksOf(this.headerLines());
      this.read = { lines, blocks, fields: blocks.flatMap(({ field }) => (field ? [field] : [])) };
    }
    return this.read;
  }

  /** All lines in one piece, which is made once. */
  private whole(): Buffer {
    const lines = this.lines.length;
    if (this.joined?.lines !== lines) this.joined = { lines, bytes: Buffer.concat(this.lines) };
    return this.joined.bytes;
  }

  private headerLines(): Buffer[] {
    const end = this.lines.findIndex(({ length }) => length === 2);
    return end === -1 ? this.lines : this.lines.slice(0, end);
  }
}

function blocksOf(header: readonly Buffer[]): HeaderBlock[] {
  const blocks: HeaderBlock[] = [];
  let start = 0;
  while (start < header.length) {
    let end = start + 1;
    while (end < header.length && continues(header[end])) end += 1;
    const lines = header.slice(start, end);
    blocks.push({ lines, field: readField(lines.map(textOf)) });
    start = end;
  }
  return blocks;
}

function keptBlocks(blocks: readonly HeaderBlock[], drop: FieldTest): readonly HeaderBlock[] {
  return blocks.filter(({ field, lines: [first] }) =>
    field === undefined ? !continues(first) : !drop(...field),
  );
}

function bytesOf(lines: readonly Buffer[]): number {
  return lines.reduce((sum, { length }) => sum + length, 0);
}

/** A line as its author wrote it, without its end. */
function textOf(line: Buffer): string {
  return line.toString('utf8', line[0] === dot ? 1 : 0, line.length - 2);
}

/** A line of a header that continues the one before (RFC 5322 2.2.3). */
function continues(line: Buffer | undefined): boolean {
  return (
    line !== undefined &&
    (line[0] === space || line[0] === tab || (line[0] === dot && (line[1] === space || line[1] === tab)))
  );
}

/** Header fields as they go over the wire. */
export function headerBlock(fields: readonly HeaderField[]): Buffer {
  return Buffer.from(fields.map(([name, value]) => `${name}: ${value}\r\n`).join(''));
}

/** Whether a line of DATA is the final dot. */
export function isFinalDot(line: Buffer): boolean {
  return line.length === 3 && line[0] === dot && line[1] === cr && line[2] === lf;
}

/**
 * The form that mailboxes on disk hold: dots unstuffed, line ends LF.
 * @param wire lines ending in CRLF, dot-stuffed.
 */
export function toMailboxForm(wire: Buffer): Buffer {
  const out = Buffer.allocUnsafe(wire.length);
  let written = 0;
  let start = 0;
  while (start < wire.length) {
    const end = wire.indexOf(lf, start);
    const stop = end === -1 ? wire.length : end;
    const from = wire[start] === dot ? start + 1 : start;
    const to = stop > start && wire[stop - 1] === cr ? stop - 1 : stop;
    written += wire.copy(out, written, from, Math.max(to, from));
    if (end !== -1) {
      out[written] = lf;
      written += 1;
    }
    start = stop + 1;
  }
  return out.subarray(0, written);
}
