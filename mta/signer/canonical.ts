const cr = 0x0d;
const lf = 0x0a;
const dot = 0x2e;
const space = 0x20;
const tab = 0x09;

/** A header field as it lies in the message: its name in lower case, and all of it but the last line end. */
export interface RawField {
  readonly name: string;
  /** One character for each byte. */
  readonly text: string;
}

/** Splits a message into its header fields and where its body begins. @param wire lines end in CRLF. */
export function splitMessage(wire: Buffer): { fields: RawField[]; bodyStart: number } {
  const blank = wire.indexOf('\r\n\r\n');
  const end = blank === -1 ? wire.length : blank + 2;
  const fields: RawField[] = [];
  for (const text of wire.toString('latin1', 0, end).split(/\r\n(?![ \t])/)) {
    const colon = text.indexOf(':');
    if (colon > 0) fields.push({ name: text.slice(0, colon).trimEnd().toLowerCase(), text });
  }
  return { fields, bodyStart: blank === -1 ? wire.length : blank + 4 };
}

/** A header field in "relaxed" form (RFC 6376 3.4.2), without its line end. */
export function relaxedField({ name, text }: RawField): string {
  const value = text.slice(text.indexOf(':') + 1);
  return `${name}:${value
    .replace(/\r\n/g, '')
    .replace(/[ \t]+/g, ' ')
    .replace(/^ | $/g, '')}`;
}

/**
 * The body in "relaxed" form (RFC 6376 3.4.4): runs of white space are one space, none at the end of a line, no empty lines at
 * the end. Dots that SMTP has doubled count once: the signature is over the message and not over its transport.
 * @param wire dot-stuffed lines that end in CRLF.
 */
export function relaxedBody(wire: Buffer, bodyStart: number): Buffer {
  const out = Buffer.allocUnsafe(wire.length - bodyStart);
  let written = 0;
  /** Where the last line that is not empty ended. */
  let kept = 0;
  let start = bodyStart;
  while (start < wire.length) {
    const found = wire.indexOf(lf, start);
    const end = found === -1 ? wire.length : found;
    const stop = end > start && wire[end - 1] === cr ? end - 1 : end;
    let gap = false;
    const lineStart = written;
    for (let at = wire[start] === dot ? start + 1 : start; at < stop; at += 1) {
      const byte = wire[at] ?? 0;
      if (byte === space || byte === tab) gap = true;
      else {
        if (gap) out[written++] = space;
        gap = false;
        out[written++] = byte;
      }
    }
    const empty = written === lineStart;
    out[written++] = cr;
    out[written++] = lf;
    if (!empty) kept = written;
    start = end + 1;
  }
  return out.subarray(0, kept);
}
