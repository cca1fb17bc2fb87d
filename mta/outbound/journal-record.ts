import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * The file of a segment: a line that names the format, octets that nobody can guess, and records. A record is
 *
 *     mark (the first 8 of these octets), length of the content, CRC-32, number of legs  (32 bits each, big endian)
 *     one octet for each leg: 1 while the mail of that leg lies here alone, 0 afterwards
 *     content: for each leg the length of its name and of its head (32 bits each), name and head; then the message
 *
 * The queue file of a leg is its head and the message. The octets of the legs are written over in place, so the CRC leaves them out.
 * A record is found by its mark also where the one before is broken, and nobody can write a mail that looks like one.
 */
const format = Buffer.from('postern journal 1\n');
const secretBytes = 16;
const markBytes = 8;
const fixedBytes = markBytes + 12;
const live = 1;

/** Octets before the first record. */
export const segmentHeadBytes = format.length + secretBytes;

/** What goes to the queue for one leg. */
export interface JournalLeg {
  /** Of its queue file. */
  readonly name: string;
  /** What stands in the file before the message. */
  readonly head: Buffer;
}

/** A leg that was found in a segment and is not done. */
export interface FoundLeg {
  readonly name: string;
  /** All of its queue file. */
  readonly file: Buffer;
  /** Where in the segment the octet of the leg is. */
  readonly stateAt: number;
}

/** The head of a new segment. */
export function newSegmentHead(): Buffer {
  return Buffer.concat([format, randomBytes(secretBytes)]);
}

/**
 * @param at where in the segment the record will be.
 * @returns its octets in pieces, how many they are, and where the octets of the legs will be.
 */
export function encodeRecord(
  segmentHead: Buffer,
  legs: readonly JournalLeg[],
  message: Buffer,
  at: number,
): { readonly chunks: Buffer[]; readonly bytes: number; readonly statesAt: number } {
  const content = [
    ...legs.flatMap(({ name, head }) => {
      const lengths = Buffer.alloc(8);
      lengths.writeUInt32BE(Buffer.byteLength(name), 0);
      lengths.writeUInt32BE(head.length, 4);
      return [lengths, Buffer.from(name), head];
    }),
    message,
  ];
  const length = content.reduce((sum, chunk) => sum + chunk.length, 0);
  const fixed = Buffer.alloc(fixedBytes + legs.length, live);
  markOf(segmentHead).copy(fixed);
  fixed.writeUInt32BE(length, markBytes);
  fixed.writeUInt32BE(legs.length, markBytes + 8);
  fixed.writeUInt32BE(checksum(fixed, content), markBytes + 4);
  return { chunks: [fixed, ...content], bytes: fixed.length + length, statesAt: at + fixedBytes };
}

/**
 * Reads a segment.
 * @returns the legs that are not done, and the octets that belong to no record: the end of one whose writing was cut off, or damage.
 *   Undefined if it is no segment of this format.
 */
export function readSegment(
  segment: Buffer,
): { readonly legs: FoundLeg[]; readonly unreadable: number } | undefined {
  if (segment.length < segmentHeadBytes || !segment.subarray(0, format.length).equals(format))
    return undefined;
  const mark = markOf(segment);
  const legs: FoundLeg[] = [];
  let unreadable = 0;
  let at = segmentHeadBytes;
  while (at < segment.length) {
    const record = readRecord(segment, at, mark);
    if (record !== undefined) {
      legs.push(...record.legs);
      at = record.end;
      continue;
    }
    const next = segment.indexOf(mark, at + 1);
    const end = next === -1 ? segment.length : next;
    unreadable += end - at;
    at = end;
  }
  return { legs, unreadable };
}

function readRecord(
  segment: Buffer,
  at: number,
  mark: Buffer,
): { legs: FoundLeg[]; end: number } | undefined {
  if (at + fixedBytes > segment.length || !segment.subarray(at, at + markBytes).equals(mark))
    return undefined;
  const statesAt = at + fixedBytes;
  const contentAt = statesAt + segment.readUInt32BE(at + markBytes + 8);
  const end = contentAt + segment.readUInt32BE(at + markBytes);
  if (end > segment.length) return undefined;
  const content = segment.subarray(contentAt, end);
  if (checksum(segment.subarray(at, statesAt), [content]) !== segment.readUInt32BE(at + markBytes + 4))
    return undefined;
  let position = 0;
  const named = Array.from({ length: contentAt - statesAt }, (_, index) => {
    const nameEnd = position + 8 + content.readUInt32BE(position);
    const headEnd = nameEnd + content.readUInt32BE(position + 4);
    const name = content.toString('utf8', position + 8, nameEnd);
    position = headEnd;
    return { name, head: content.subarray(nameEnd, headEnd), stateAt: statesAt + index };
  });
  const message = content.subarray(position);
  const legs = named
    .filter(({ stateAt }) => segment[stateAt] === live)
    .map(({ name, head, stateAt }) => ({ name, file: Buffer.concat([head, message]), stateAt }));
  return { legs, end };
}

function markOf(segmentHead: Buffer): Buffer {
  return segmentHead.subarray(format.length, format.length + markBytes);
}

/** Of the two lengths and the content. */
function checksum(fixed: Buffer, content: readonly Buffer[]): number {
  const lengths = crc32(
    fixed.subarray(markBytes + 8, markBytes + 12),
    crc32(fixed.subarray(markBytes, markBytes + 4)),
  );
  return content.reduce((sum, chunk) => crc32(chunk, sum), lengths);
}
