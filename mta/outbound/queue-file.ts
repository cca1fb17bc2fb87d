import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Address } from '@haraka/email-address';
import * as z from 'zod';
import { type Leg, leg as legSchema } from '../../bundle/leg.ts';
import type { HarakaMail, HarakaOutbound } from '../haraka.ts';
import { legId, parseQueueName, type QueueName } from '../queue/queue-name.ts';
import { queueAddress } from './queue-address.ts';
import type { StagedFile } from './staged-file.ts';

/** Key of our part of a queue file's notes. Names only: no address of a next hop and no secret lies in the queue. */
const noteKey = 'postern';

/** What of a message goes to the head of its queue files. */
export interface QueuedMessage {
  readonly id: string;
  readonly from: Address;
  /** Milliseconds since the epoch. */
  readonly queuedAt: number;
}

const note = z.object({ leg: legSchema });

/** The mails that lie in a queue. Its other files are left-overs and probes, whose names do not begin with a time. */
export async function listQueue(queueDirectory: string): Promise<QueueName[]> {
  return (await readdir(queueDirectory)).flatMap((name) => parseQueueName(name) ?? []);
}

/**
 * The name of the queue file of a leg. It is Haraka's (arrival, next attempt, attempts, pid, ...), with the id of the leg in it:
 * whoever looks for a mail finds it by its name.
 * @param order position of the leg among the legs of its message, from 1.
 * @throws Error for an id that no name can have.
 */
export function nextQueueName(
  outbound: Pick<HarakaOutbound, 'qfile'>,
  message: Pick<QueuedMessage, 'id'>,
  order: number,
): string {
  const name = outbound.qfile.name({ uid: legId(message.id, order) });
  // Haraka passes over a name that it cannot read, and the mail would lie there for ever.
  if (parseQueueName(name) === undefined) throw new Error(`${name} is no name of a queue file`);
  return name;
}

/** Where a queue file lies, and where it is written. */
export function placeInQueue(
  outbound: Pick<HarakaOutbound, 'qfile'>,
  queueDirectory: string,
  name: string,
): StagedFile {
  return {
    // Files with this prefix are left-overs to Haraka: it deletes them when it starts.
    temporary: join(queueDirectory, `${outbound.qfile.platformDOT}${name}`),
    final: join(queueDirectory, name),
    directory: queueDirectory,
  };
}

/**
 * The head of a queue file in Haraka's format: the length of a JSON text (32 bits, big endian) and the text. The message
 * as it goes over the wire follows. One recipient in each file: Haraka charges LMTP answers to the wrong one of several (HT3).
 * @param order position of the leg among the legs of its message, from 1.
 */
export function queueFileHead(message: QueuedMessage, leg: Leg, order: number): Buffer {
  const recipient = queueAddress(leg.recipient);
  const todo = {
    queue_time: message.queuedAt,
    domain: recipient.host,
    rcpt_to: [recipient],
    mail_from: message.from,
    notes: { [noteKey]: { leg } },
    uuid: legId(message.id, order),
    force_tls: false,
  };
  const text = Buffer.from(`\n${JSON.stringify(todo)}\n`);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text]);
}

/** The leg of a queued mail; undefined if the file was not written by us or by another version of us. */
export function legOf({ todo: { notes } }: HarakaMail): Leg | undefined {
  if (!legs.has(notes)) legs.set(notes, readLeg(notes));
  return legs.get(notes);
}

/** By the notes: each attempt asks several times. */
const legs = new WeakMap<object, Leg | undefined>();

/** The same of the notes alone. */
export function readLeg(notes: Readonly<Record<string, unknown>>): Leg | undefined {
  const parsed = note.safeParse(notes[noteKey]);
  return parsed.success ? parsed.data.leg : undefined;
}
