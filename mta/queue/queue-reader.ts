import { open } from 'node:fs/promises';
import * as z from 'zod';
import { readHeaders } from '../../policy/headers.ts';
import { readLeg } from '../outbound/queue-file.ts';

/** More of a head or a header than this is not read. */
const maxBytes = 65_536;

const address = z.object({ original: z.string() });
const todo = z.object({
  domain: z.string(),
  mail_from: address,
  rcpt_to: z.array(address).min(1),
  notes: z.record(z.string(), z.unknown()),
});

/** What the head of a queue file says, and nothing of the message. */
export interface QueueHead {
  readonly from: string;
  readonly to: string;
  readonly recipientDomain: string;
  readonly leg: ReturnType<typeof readLeg>;
  /** Octets. */
  readonly size: number;
}

/**
 * Reads the head of a queue file.
 * @param headers the header fields of the message too.
 * @returns undefined if the file is not there any more.
 * @throws Error if it is no queue file, or cannot be read.
 */
export async function readQueueFile(
  path: string,
  headers = false,
): Promise<(QueueHead & { headers?: [string, string][] }) | undefined> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (handle === undefined) return undefined;
  try {
    const bytes = async (position: number, length: number) => {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
      return buffer.subarray(0, bytesRead);
    };
    const { size } = await handle.stat();
    const length = (await bytes(0, 4)).readUInt32BE();
    if (length > maxBytes) throw new Error('its head is too long');
    const { domain, mail_from, rcpt_to, notes } = todo.parse(JSON.parse((await bytes(4, length)).toString()));
    return {
      from: mail_from.original,
      to: rcpt_to.map(({ original }) => original).join(', '),
      recipientDomain: domain,
      leg: readLeg(notes),
      size: size - length - 4,
      ...(headers && { headers: headerOf(await bytes(4 + length, maxBytes)) }),
    };
  } finally {
    await handle.close();
  }
}

/** Never more than the header: without its end, whole lines of what was read of it. */
function headerOf(start: Buffer): [string, string][] {
  const text = start.toString('utf8');
  const end = text.indexOf('\r\n\r\n');
  const lines = text.slice(0, end === -1 ? text.lastIndexOf('\r\n') : end);
  return readHeaders(lines).map(([name, value]) => [name, value]);
}
