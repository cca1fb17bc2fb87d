import { Readable } from 'node:stream';
import type { HarakaMail, HarakaOutbound } from '../haraka.ts';
import { problemOf } from '../problem.ts';
import { parseQueueName } from '../queue/queue-name.ts';
import { DirectorySync } from './directory-sync.ts';
import { Journal, type JournalPlace, type LeftLeg } from './journal.ts';
import type { JournalLeg } from './journal-record.ts';
import { keepUncounted } from './keep-mail.ts';
import { listQueue, placeInQueue } from './queue-file.ts';
import { publish, stage, withdraw } from './staged-file.ts';

/** Octets of mail that may lie in memory and journal at a time, and of one message. What comes above has a file from the start. */
const budget = 33_554_432;
const largest = 1_048_576;

/** Octets that are written at a time, as when a file is read: a time limit sees progress only between writes. */
const pieceBytes = 65_536;

/** Mails that are written to the queue at a time. */
const atATime = 16;

/** What is kept of a mail that has no file yet. */
interface Fresh {
  /** All of its queue file. */
  readonly bytes: Buffer;
  readonly place: JournalPlace;
  /** While its file is being written. */
  filing?: Promise<void> | undefined;
}

interface FreshMail extends HarakaMail {
  /** Undefined once it is what its file says. */
  fresh: Fresh | undefined;
}

interface FreshMailParts {
  readonly outbound: HarakaOutbound;
  readonly queueDirectory: string;
  readonly journalDirectory: string;
  /** Messages that are on their way in now. */
  readonly incoming: () => number;
  /** Told what went wrong beside what throws. */
  readonly problem: (text: string) => void;
}

/** A message that is safe in the journal. */
export interface Journalled {
  /** Hands its mails to Haraka. */
  start(): void;
  /** Takes it back, as if it had never been there. Instead of `start`. */
  withdraw(): void;
}

/**
 * Mail from its acceptance to the end of its first attempt. It lies in the journal and in memory. Delivered or bounced then, it never
 * had a file; whatever else comes of it, and whoever looks at the queue, gives it one, and from then on it is like any other.
 */
export class FreshMails {
  private readonly parts: FreshMailParts;
  private readonly make: (name: string, fresh: Fresh) => FreshMail;
  private readonly sync = new DirectorySync();
  private readonly journal: Journal;
  private left: readonly LeftLeg[];
  /** By the names that their files will have. */
  private readonly mails = new Map<string, FreshMail>();
  private held = 0;
  private readonly resuming = Promise.withResolvers<void>();

  private constructor(parts: FreshMailParts, journal: Journal, left: readonly LeftLeg[]) {
    this.parts = parts;
    this.journal = journal;
    this.left = left;
    this.make = this.makerFor(parts.outbound.HMailItem);
  }

  /**
   * Opens the journal. What a process before has left in it is delivered from `resume` on.
   * @throws the file system's error.
   */
  static async open(parts: FreshMailParts): Promise<FreshMails> {
    let opened: FreshMails | undefined;
    const { journal, left } = await Journal.open(parts.journalDirectory, {
      problem: parts.problem,
      siblings: parts.incoming,
      outgrown: (oldest) => void opened?.settle(({ segment }) => segment < oldest),
    });
    const filed = new Set((await listQueue(parts.queueDirectory)).map(({ id }) => id));
    const unfiled = left.filter(({ name, place }) => {
      const id = parseQueueName(name)?.id;
      if (id === undefined)
        parts.problem(`the journal holds ${JSON.stringify(name)}, which is no name of a mail`);
      // Killed between the two: it has its file, and may have another name since.
      else if (filed.has(id)) place.release();
      else return true;
      return false;
    });
    opened = new FreshMails(parts, journal, unfiled);
    return opened;
  }

  /** Mails that have no file. */
  get count(): number {
    return this.left.length + this.mails.size;
  }

  /**
   * Until Haraka has read the queue directory nothing may be written to it: Haraka would find a mail that it has already been
   * handed, and deliver it twice.
   */
  get resumed(): Promise<void> {
    return this.resuming.promise;
  }

  /** Whether a message may lie here; otherwise it gets its files at once. */
  hasRoomFor(legs: readonly JournalLeg[], message: Buffer): boolean {
    const bytes = bytesOf(legs, message);
    return bytes <= largest && this.held + bytes <= budget;
  }

  /**
   * Writes a message to the journal: all of its legs, or nothing of it.
   * @throws the file system's error.
   */
  async take(legs: readonly JournalLeg[], message: Buffer): Promise<Journalled> {
    const bytes = bytesOf(legs, message);
    this.held += bytes;
    try {
      const places = await this.journal.append(legs, message);
      const found = legs.flatMap(({ name, head }, index) => {
        const place = places[index];
        return place === undefined ? [] : [{ name, file: Buffer.concat([head, message]), place }];
      });
      return {
        start: () => {
          for (const leg of found) this.start(leg);
        },
        withdraw: () => {
          this.held -= bytes;
          for (const { place } of found) place.release();
        },
      };
    } catch (error) {
      this.held -= bytes;
      throw error;
    }
  }

  /** Hands to Haraka, which has read the queue, what a process before has left. */
  resume(): void {
    for (const leg of this.left) {
      this.held += leg.file.length;
      this.start(leg);
    }
    this.left = [];
    this.resuming.resolve();
  }

  /**
   * Gives mails their files. Never throws: what cannot be written stays where it is, and is told of.
   * @param which of them; all unless given.
   */
  async settle(which: (place: JournalPlace) => boolean = () => true): Promise<void> {
    await this.resumed;
    const wanted = [...this.mails.values()].filter(({ fresh }) => fresh !== undefined && which(fresh.place));
    const failures: unknown[] = [];
    const next = async () => {
      for (let mail = wanted.pop(); mail !== undefined; mail = wanted.pop())
        await this.file(mail).catch((error: unknown) => failures.push(error));
    };
    await Promise.all(Array.from({ length: atATime }, next));
    if (failures.length > 0)
      this.parts.problem(`${failures.length} mails have no file yet: ${problemOf(failures[0])}`);
  }

  /** Gives a mail its file, if it has none. @throws the file system's error. */
  async settleOne(name: string): Promise<void> {
    const mail = this.mails.get(name);
    if (mail !== undefined) await this.file(mail);
  }

  /** Ends it: what has no file is found in the journal by the next process. Never throws. */
  async close(): Promise<void> {
    await this.settle();
    await this.journal.close();
  }

  private start({ name, file, place }: LeftLeg): void {
    const mail = this.make(name, { bytes: file, place });
    this.mails.set(name, mail);
    this.parts.outbound.delivery_queue.push(mail);
  }

  private async file(mail: FreshMail): Promise<void> {
    const { fresh } = mail;
    if (fresh === undefined) return;
    fresh.filing ??= this.write(mail, fresh).finally(() => {
      fresh.filing = undefined;
    });
    await fresh.filing;
  }

  private async write(mail: FreshMail, fresh: Fresh): Promise<void> {
    const { outbound, queueDirectory } = this.parts;
    const place = placeInQueue(outbound, queueDirectory, mail.filename);
    try {
      await stage(place, [fresh.bytes]);
      await publish(place);
      await this.sync.sync(queueDirectory);
    } catch (error) {
      await withdraw(place);
      throw error;
    }
    this.forget(mail, fresh);
  }

  private forget(mail: FreshMail, { bytes, place }: Fresh): void {
    mail.fresh = undefined;
    this.mails.delete(mail.filename);
    this.held -= bytes.length;
    place.release();
  }

  private makerFor(HMailItem: HarakaOutbound['HMailItem']): (name: string, fresh: Fresh) => FreshMail {
    const mails = this;
    // The constructor of HMailItem begins to read, before a field of a subclass could be set.
    let handed: Fresh | undefined;
    class Mail extends HMailItem implements FreshMail {
      declare fresh: Fresh | undefined;

      override size_file(): void {
        this.fresh = handed;
        this.file_size = handed?.bytes.length ?? 0;
        void this.read_todo();
      }

      override async _stream_bytes_from(
        path: string,
        range: { start: number; end: number },
      ): Promise<Buffer> {
        return (
          this.fresh?.bytes.subarray(range.start, range.end + 1) ?? super._stream_bytes_from(path, range)
        );
      }

      override data_stream(): AsyncIterable<Buffer> {
        return this.fresh === undefined
          ? super.data_stream()
          : Readable.from(pieces(this.fresh.bytes.subarray(this.data_start)), { objectMode: false });
      }

      override async deferred_respond(...answer: Parameters<HarakaMail['deferred_respond']>): Promise<void> {
        try {
          await mails.file(this);
        } catch (error) {
          mails.parts.problem(problemOf(error));
          keepUncounted(this, mails.parts.outbound);
          return;
        }
        await super.deferred_respond(...answer);
      }

      override discard(): void {
        const { fresh } = this;
        if (fresh === undefined) super.discard();
        else if (fresh.filing !== undefined)
          fresh.filing.catch(() => undefined).finally(() => this.discard());
        else {
          this.refcount -= 1;
          if (this.refcount > 0) return;
          mails.forget(this, fresh);
          this.next_cb();
        }
      }
    }
    return (name, fresh) => {
      handed = fresh;
      const { final } = placeInQueue(mails.parts.outbound, mails.parts.queueDirectory, name);
      const mail = new Mail(name, final);
      handed = undefined;
      return mail;
    };
  }
}

function bytesOf(legs: readonly JournalLeg[], message: Buffer): number {
  return legs.reduce((sum, { head }) => sum + head.length + message.length, 0);
}

function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let start = 0; start < bytes.length; start += pieceBytes)
    yield bytes.subarray(start, start + pieceBytes);
}
