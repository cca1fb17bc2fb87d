import {
  close as closeCallback,
  constants,
  fdatasync,
  fstatSync,
  ftruncate,
  open as openCallback,
  writeSync,
  writev,
} from 'node:fs';
import { mkdir, readdir, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { problemOf } from '../problem.ts';
import { DirectorySync } from './directory-sync.ts';
import {
  encodeRecord,
  type JournalLeg,
  newSegmentHead,
  readSegment,
  segmentHeadBytes,
} from './journal-record.ts';

const open = promisify(openCallback);
const close = promisify(closeCallback);
const write = promisify(writev);
const truncate = promisify(ftruncate);
const synchronise = promisify(fdatasync);

/** A write returns when the disk has it (see staged-file.ts). */
const appending = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_DSYNC;
const done = Buffer.from([0]);
/** Octets after which a segment takes no more. */
const segmentBytes = 16_777_216;
/** Octets after which the next message waits for another write: the kernel lets no mark into a file that it is writing to. */
const batchBytes = 1_048_576;
/**
 * Milliseconds between the beginnings of two writes, one for so many messages that are on their way in, and at most: each write is a
 * flush of the disk and a way to the thread pool and back, which costs more than all else in filing a message.
 */
const siblingsPerMs = 4;
const longestPauseMs = 4;
/** Segments that mail may keep from being removed; what lies in older ones is asked to go. */
const maxSegments = 4;
/** Milliseconds between two looks: a segment without mail goes, and what was marked as done is made durable. */
const lookMs = 1_000;

/** Where in the journal the mail of one leg lies. */
export interface JournalPlace {
  /** Number of its segment; later ones have higher numbers. */
  readonly segment: number;
  /** Says that the mail is safe elsewhere, or has ended: it will not be found here any more. To be called once. Never throws. */
  release(): void;
}

/** A leg that a process before has left in the journal. */
export interface LeftLeg {
  readonly name: string;
  /** All of its queue file. */
  readonly file: Buffer;
  readonly place: JournalPlace;
}

interface JournalParts {
  /** Messages that are on their way in now. */
  readonly siblings: () => number;
  /** Told what went wrong beside an append, which throws. */
  readonly problem: (text: string) => void;
  /** Asked to release what lies in segments with lower numbers. */
  readonly outgrown: (oldest: number) => void;
}

/** Mail that waits for the next write. */
interface Waiting extends PromiseWithResolvers<readonly JournalPlace[]> {
  readonly legs: readonly JournalLeg[];
  readonly message: Buffer;
}

/**
 * Mail that has just been accepted, on disk in one write for all messages that wait for it (a group commit). It lies here until its
 * first attempt is over: what is delivered then never had a file of its own. Whatever stays longer is written to the queue, and
 * released here. A segment goes as soon as nothing in it is needed.
 */
export class Journal {
  private readonly directory: string;
  private readonly parts: JournalParts;
  private readonly sync = new DirectorySync();
  private readonly segments = new Set<Segment>();
  private readonly looking: NodeJS.Timeout;
  private current: Segment | undefined;
  private next = 1;
  private waiting: Waiting[] = [];
  private writing: Promise<void> | undefined;
  private removing: Promise<void> = Promise.resolve();
  private isLooking = false;
  private isClosed = false;
  /** When the last write began, by the clock of `performance`. */
  private lastWrite = 0;

  private constructor(directory: string, parts: JournalParts) {
    this.directory = directory;
    this.parts = parts;
    this.looking = setInterval(() => void this.look(), lookMs).unref();
  }

  /**
   * Opens the journal of a directory, which it has to itself, and finds what a process before has left in it.
   * @throws the file system's error.
   */
  static async open(directory: string, parts: JournalParts): Promise<{ journal: Journal; left: LeftLeg[] }> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const journal = new Journal(directory, parts);
    const left: LeftLeg[] = [];
    const numbers = (await readdir(directory)).flatMap((file) => numberOf(file) ?? []);
    for (const number of numbers.toSorted((one, other) => one - other))
      left.push(...(await journal.find(number)));
    return { journal, left };
  }

  /**
   * Writes a message with all its legs, or nothing of it.
   * @returns the places of the legs, in their order, once the disk has them.
   * @throws the file system's error, or Error once it is closed; nothing of the message will be found then.
   */
  append(legs: readonly JournalLeg[], message: Buffer): Promise<readonly JournalPlace[]> {
    if (this.isClosed) return Promise.reject(new Error('the journal is closed'));
    const waiting = { legs, message, ...Promise.withResolvers<readonly JournalPlace[]>() };
    this.waiting.push(waiting);
    this.writing ??= this.follow();
    return waiting.promise;
  }

  /** Ends it. What was not released is found by the next process. Never throws. */
  async close(): Promise<void> {
    clearInterval(this.looking);
    this.isClosed = true;
    await this.writing;
    this.current = undefined;
    for (const segment of [...this.segments]) {
      if (segment.isEmpty) await this.remove(segment);
      else await segment.close();
    }
    await this.removing;
  }

  /** Writes until nobody waits. */
  private async follow(): Promise<void> {
    while (this.waiting.length > 0) {
      await this.pause();
      const batch = this.waiting.splice(0, this.batchSize());
      try {
        const places = await (await this.writable()).append(batch);
        for (const [index, { resolve }] of batch.entries()) resolve(places[index] ?? []);
      } catch (error) {
        // Nobody knows what the disk has of it: no record may come after it, and none of it may be found.
        await this.current?.cutOff().catch((problem: unknown) => this.parts.problem(problemOf(problem)));
        await this.retire();
        for (const { reject } of batch) reject(error);
      }
    }
    // In the same step as the last look at who waits: whoever comes after it begins anew.
    this.writing = undefined;
  }

  /** Waits for others that are about to come, so that they share a write; nobody waits for long, or alone. */
  private async pause(): Promise<void> {
    const pauseMs = Math.min(longestPauseMs, Math.floor(this.parts.siblings() / siblingsPerMs));
    const left = this.lastWrite + pauseMs - performance.now();
    if (left > 0) await delay(left);
    this.lastWrite = performance.now();
  }

  /** How many of those who wait share the next write. */
  private batchSize(): number {
    let bytes = 0;
    const rest = this.waiting.findIndex(({ legs, message }) => {
      if (bytes >= batchBytes) return true;
      bytes += legs.reduce((sum, { head }) => sum + head.length, message.length);
      return false;
    });
    return rest === -1 ? this.waiting.length : rest;
  }

  private async writable(): Promise<Segment> {
    if (this.current?.isFull) await this.retire();
    if (this.current !== undefined) return this.current;
    const number = this.next;
    // Also if it cannot be made: part of it may be there.
    this.next += 1;
    const segment = await Segment.create(number, this.pathOf(number), (one) => this.released(one));
    this.segments.add(segment);
    this.current = segment;
    await this.sync.sync(this.directory);
    if (this.segments.size > maxSegments)
      this.parts.outgrown([...this.segments].at(-maxSegments)?.number ?? 0);
    return segment;
  }

  /** Nothing more is written to the present segment. */
  private async retire(): Promise<void> {
    const segment = this.current;
    this.current = undefined;
    if (segment?.isEmpty) await this.remove(segment);
  }

  private released(segment: Segment): void {
    if (segment.isEmpty && segment !== this.current)
      this.removing = Promise.all([this.removing, this.remove(segment)]).then(() => undefined);
  }

  private async look(): Promise<void> {
    if (this.isLooking) return;
    this.isLooking = true;
    for (const segment of [...this.segments])
      await segment.flush().catch((error: unknown) => this.parts.problem(problemOf(error)));
    this.isLooking = false;
    if (this.writing === undefined && this.current?.isIdle) await this.retire();
  }

  private async remove(segment: Segment): Promise<void> {
    if (!this.segments.delete(segment)) return;
    await segment.close();
    await unlink(segment.path).catch((error: unknown) => this.parts.problem(problemOf(error)));
  }

  private async find(number: number): Promise<LeftLeg[]> {
    const path = this.pathOf(number);
    this.next = Math.max(this.next, number + 1);
    const bytes = await readFile(path).catch((error: unknown) => this.parts.problem(problemOf(error)));
    if (bytes === undefined) return [];
    const found = readSegment(bytes);
    if (found === undefined && bytes.length > segmentHeadBytes) {
      await rename(path, `${path}.unreadable`);
      this.parts.problem(`${path} is no journal that this version reads; it is ${path}.unreadable now`);
      return [];
    }
    const { legs, unreadable } = found ?? { legs: [], unreadable: 0 };
    if (unreadable > 0)
      this.parts.problem(
        `${path}: ${unreadable} octets are no mail: nobody was answered 250 for it, or they are damaged`,
      );
    if (legs.length === 0) {
      await unlink(path);
      return [];
    }
    const segment = await Segment.reopen(number, path, legs.length, (one) => this.released(one));
    this.segments.add(segment);
    return legs.map(({ name, file, stateAt }) => ({ name, file, place: segment.placeAt(stateAt) }));
  }

  private pathOf(number: number): string {
    return join(this.directory, `${String(number).padStart(10, '0')}.journal`);
  }
}

function numberOf(file: string): number | undefined {
  const [, digits] = /^(\d{10})\.journal$/.exec(file) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** One file of the journal. */
class Segment {
  readonly number: number;
  readonly path: string;
  private readonly released: (segment: Segment) => void;
  /** For records; undefined: it takes no more. */
  private readonly records: number | undefined;
  /** For what is done, which need not be on disk at once: mail that is found again is delivered again, and not lost. */
  private readonly marks: number;
  private readonly head = newSegmentHead();
  private end = 0;
  private live = 0;
  private isMarked = false;
  private flushing: Promise<void> = Promise.resolve();
  private isClosed = false;
  /** Whether nothing was written since the last look. */
  private isQuiet = false;

  private constructor(
    { number, path, released }: Pick<Segment, 'number' | 'path'> & { released: (segment: Segment) => void },
    { records, marks }: { records: number | undefined; marks: number },
  ) {
    this.number = number;
    this.path = path;
    this.released = released;
    this.records = records;
    this.marks = marks;
  }

  static async create(number: number, path: string, released: (segment: Segment) => void): Promise<Segment> {
    const records = await open(path, appending, 0o600);
    const marks = await open(path, constants.O_WRONLY).catch(async (error: unknown) => {
      await Promise.allSettled([close(records), unlink(path)]);
      throw error;
    });
    return new Segment({ number, path, released }, { records, marks });
  }

  /** @param live how many legs in it are not done. */
  static async reopen(
    number: number,
    path: string,
    live: number,
    released: (segment: Segment) => void,
  ): Promise<Segment> {
    const marks = await open(path, constants.O_WRONLY);
    const segment = new Segment({ number, path, released }, { records: undefined, marks });
    segment.live = live;
    return segment;
  }

  get isFull(): boolean {
    return this.end >= segmentBytes;
  }

  /** Nobody needs what lies in it. */
  get isEmpty(): boolean {
    return this.live === 0;
  }

  get isIdle(): boolean {
    return this.isEmpty && this.isQuiet;
  }

  /** @returns the places of each message's legs. @throws the file system's error. */
  async append(
    batch: readonly { readonly legs: readonly JournalLeg[]; readonly message: Buffer }[],
  ): Promise<JournalPlace[][]> {
    if (this.records === undefined) throw new Error(`${this.path} takes no more`);
    const start = this.end;
    const chunks = start === 0 ? [this.head] : [];
    let end = start === 0 ? this.head.length : start;
    const states = batch.map(({ legs, message }) => {
      const record = encodeRecord(this.head, legs, message, end);
      chunks.push(...record.chunks);
      end += record.bytes;
      return record.statesAt;
    });
    const { bytesWritten } = await write(this.records, chunks, start);
    if (bytesWritten !== end - start)
      throw new Error(`${this.path}: ${bytesWritten} of ${end - start} bytes written`);
    // Somebody has emptied the directory: the next process would not find it.
    if (fstatSync(this.records).nlink === 0) throw new Error(`${this.path} was removed`);
    this.end = end;
    this.isQuiet = false;
    this.live += batch.reduce((sum, { legs }) => sum + legs.length, 0);
    return batch.map(({ legs }, index) =>
      legs.map((_, leg) => this.placeAt((states[index] ?? Number.NaN) + leg)),
    );
  }

  placeAt(stateAt: number): JournalPlace {
    return { segment: this.number, release: () => this.release(stateAt) };
  }

  private release(stateAt: number): void {
    if (!this.isClosed) {
      try {
        writeSync(this.marks, done, 0, 1, stateAt);
      } catch {
        // It will be found once more, and delivered twice.
      }
      this.isMarked = true;
    }
    this.live -= 1;
    this.released(this);
  }

  /** Makes durable what is done. @throws the file system's error. */
  async flush(): Promise<void> {
    this.isQuiet = !this.isMarked;
    if (!this.isMarked || this.isClosed) return;
    this.isMarked = false;
    this.flushing = synchronise(this.marks);
    await this.flushing;
  }

  /** Takes what a failed append may have left out of the file. @throws the file system's error. */
  async cutOff(): Promise<void> {
    if (this.records !== undefined) await truncate(this.records, this.end);
  }

  /** Never throws: all that was written to it is on the disk, or is a mark. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    await this.flushing.catch(() => undefined);
    await Promise.allSettled(
      [this.marks, ...(this.records === undefined ? [] : [this.records])].map((one) => close(one)),
    );
  }
}
