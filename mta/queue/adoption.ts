import type { HarakaOutbound } from '../haraka.ts';
import { DirectorySync } from '../outbound/directory-sync.ts';
import { placeInQueue } from '../outbound/queue-file.ts';
import { publish, stage, withdraw } from '../outbound/staged-file.ts';
import { type Answer, parseAnswer } from './last-answers.ts';
import { OncePerId } from './once-per-id.ts';
import { parseQueueName, type QueueName } from './queue-name.ts';
import { readQueueFile } from './queue-reader.ts';

interface AdoptionParts {
  readonly outbound: HarakaOutbound;
  readonly directory: string;
  /** Octets of a queue file; more is no mail of this MTA. */
  readonly maxBytes: number;
  /** Once Haraka has read the queue: it would find a mail that it is handed here, and deliver it twice. */
  readonly ready: Promise<void>;
  readonly draining: () => boolean;
  /** Told of every mail that is safe on this disk, and why it waits, if the other pod knew. */
  readonly adopted: (id: string, lastAnswer: Answer | undefined) => void;
}

/** What another pod is told: 200 means that the mail is safe here and its file may go there. */
export type AdoptionReply = { readonly status: 200 | 400 | 413 | 422 | 503; readonly problem: string };

/** Mails that are known to be here already: more than come while another pod may ask again because it got no answer. */
const remembered = 20_000;

const taken: AdoptionReply = { status: 200, problem: '' };
const stopping: AdoptionReply = { status: 503, problem: 'this MTA is stopping too' };

/**
 * Takes over queue files of a pod that ends (outbound/hand-over.ts). A mail keeps its id, its arrival, its attempts and the time of
 * the next one; it is safe on disk before it is answered for. Who asks twice for one id, because the first answer was lost, is
 * answered alike and files nothing twice.
 */
export class Adoption {
  private readonly parts: AdoptionParts;
  private readonly sync = new DirectorySync();
  private readonly replies = new OncePerId<AdoptionReply>(remembered, ({ status }) => status === 200);
  private running = 0;

  constructor(parts: AdoptionParts) {
    this.parts = parts;
  }

  /** Mails that are being written now. */
  get busy(): number {
    return this.running;
  }

  /**
   * @param file the name of the queue file where it was.
   * @param body its bytes.
   * @param lastAnswer what the other pod says of its last attempt (formatAnswer), if anything.
   * @throws the file system's error; nothing of the mail remains then.
   */
  async take(file: string, body: AsyncIterable<Uint8Array>, lastAnswer = ''): Promise<AdoptionReply> {
    const name = parseQueueName(file);
    if (name === undefined)
      return { status: 400, problem: `${JSON.stringify(file)} is no name of a queue file` };
    if (this.parts.draining()) return stopping;
    const bytes = await this.read(body);
    if (bytes === undefined)
      return { status: 413, problem: `a queue file has ${this.parts.maxBytes} octets at most` };
    return this.replies.run(name.id, () => this.file(name, bytes, parseAnswer(lastAnswer)));
  }

  private async read(body: AsyncIterable<Uint8Array>): Promise<Buffer | undefined> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    // To the end even if it is too much: who is still writing would not read the answer.
    for await (const chunk of body) {
      size += chunk.length;
      if (size > this.parts.maxBytes) chunks.length = 0;
      else chunks.push(chunk);
    }
    return size > this.parts.maxBytes ? undefined : Buffer.concat(chunks);
  }

  private async file(name: QueueName, bytes: Buffer, lastAnswer: Answer | undefined): Promise<AdoptionReply> {
    await this.parts.ready;
    // The body took its time.
    if (this.parts.draining()) return stopping;
    this.running += 1;
    const { outbound, directory } = this.parts;
    const own = outbound.qfile.name({
      uid: name.id,
      arrival: name.arrived,
      next_attempt: name.nextAttempt,
      attempts: name.attempts,
    });
    const place = placeInQueue(outbound, directory, own);
    try {
      await stage(place, [bytes]);
      // A file of another version, or half of one: it stays where it is, for whoever can read it.
      const head = await readQueueFile(place.temporary).catch(() => undefined);
      if (head?.leg === undefined) {
        await withdraw(place);
        return { status: 422, problem: 'it is no queue file that this version reads' };
      }
      await publish(place);
      await this.sync.sync(directory);
      const deliver = () => outbound.delivery_queue.push(new outbound.HMailItem(own, place.final));
      const waitMs = name.nextAttempt - Date.now();
      if (waitMs > 0) outbound.temp_fail_queue.add(own, waitMs, deliver);
      else deliver();
      this.parts.adopted(name.id, lastAnswer);
      return taken;
    } catch (error) {
      await withdraw(place);
      throw error;
    } finally {
      this.running -= 1;
    }
  }
}
