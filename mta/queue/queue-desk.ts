import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { QueuedMail, QueueEnvelope, QueuePage, QueueResult, QueueVerb } from '../../bundle/queue.ts';
import type { HarakaMail, HarakaOutbound } from '../haraka.ts';
import { DirectorySync } from '../outbound/directory-sync.ts';
import { listQueue } from '../outbound/queue-file.ts';
import { problemOf } from '../problem.ts';
import type { LastAnswers } from './last-answers.ts';
import { dueName, heldName, parseQueueName, positionOf, type QueueName } from './queue-name.ts';
import { type QueueHead, readQueueFile } from './queue-reader.ts';

interface DeskParts {
  readonly outbound: HarakaOutbound;
  readonly directory: string;
  readonly answers: LastAnswers;
  /** Gives every mail its file that has none yet. */
  readonly settle: () => Promise<void>;
  readonly draining: () => boolean;
  /** Told of every order that was carried out: by its id, since addresses are not for the log. */
  readonly done: (verb: QueueVerb, id: string) => void;
}

/** An order that cannot be carried out; its message says why. */
class Refusal extends Error {}

/**
 * Looks at the queue of this process and takes orders about mail in it. Only mail that waits for its next attempt takes any: it is
 * taken out of Haraka's waiting room first, in one step, so that nobody else begins with it. Nothing is ever removed here: a bounce
 * goes the way of every final failure.
 */
export class QueueDesk {
  private readonly parts: DeskParts;
  private readonly sync = new DirectorySync();

  constructor(parts: DeskParts) {
    this.parts = parts;
  }

  /** How many mails are held. */
  held(): number {
    const waiting = this.parts.outbound.temp_fail_queue.queue;
    return waiting.filter(({ id }) => parseQueueName(id)?.held === true).length;
  }

  /** @param after what the page before called `next`. */
  async list(after: string | undefined, limit: number): Promise<QueuePage> {
    const names = await this.names();
    const rest = after === undefined ? names : names.filter((name) => positionOf(name) > after);
    const page = rest.slice(0, limit);
    const last = page.at(-1);
    const due = this.dueTimes();
    const mails = await Promise.all(
      page.map(async (name) => {
        const head = await this.read(name).catch(() => undefined);
        return head === undefined ? undefined : this.mailOf(name, head, due);
      }),
    );
    return {
      total: names.length,
      held: names.filter(({ held }) => held).length,
      mails: mails.filter((mail) => mail !== undefined),
      next: last === undefined || page.length === rest.length ? null : positionOf(last),
    };
  }

  /** @param headers the header fields of the message too; never its body. */
  async show(id: string, headers: boolean): Promise<QueueEnvelope> {
    const name = (await this.names()).find((each) => each.id === id);
    const head = name === undefined ? undefined : await this.read(name, headers);
    if (name === undefined || head === undefined) return { mail: null };
    const { from, to, leg } = head;
    return {
      mail: {
        ...this.mailOf(name, head, this.dueTimes()),
        from,
        to,
        purpose: leg?.purpose ?? null,
        onFailure: leg?.onFailure ?? null,
        ...(head.headers && { headers: head.headers }),
      },
    };
  }

  /** Carries out one order for each id, one after the other. */
  async order(verb: QueueVerb, ids: readonly string[]): Promise<readonly QueueResult[]> {
    const names = new Map((await this.names()).map((name) => [name.id, name] as const));
    const results: QueueResult[] = [];
    for (const id of new Set(ids)) {
      const name = names.get(id);
      if (name === undefined) {
        results.push({ id, outcome: 'Unknown', detail: '' });
        continue;
      }
      try {
        await this.carryOut(verb, name);
        this.parts.done(verb, id);
        results.push({ id, outcome: 'Done', detail: '' });
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        results.push({ id, outcome: 'Refused', detail: error.message });
      }
    }
    if (verb === 'hold' || verb === 'release') await this.sync.sync(this.parts.directory);
    return results;
  }

  private async carryOut(verb: QueueVerb, name: QueueName): Promise<void> {
    if (this.parts.draining()) throw new Refusal('the MTA is stopping');
    if (verb === 'release' && !name.held) throw new Refusal('is not held');
    if (verb === 'hold' && name.held) throw new Refusal('is held already');
    if (verb === 'retry' && name.held) throw new Refusal('is held: release it first');
    // Haraka would take an unreadable file for mail that has been delivered.
    if ((await this.read(name)) === undefined) throw new Refusal('has just left the queue');
    const putBack = this.take(name);
    try {
      await this[verb](name);
    } catch (error) {
      putBack();
      throw error instanceof Refusal ? error : new Refusal(problemOf(error));
    }
  }

  private async retry({ file }: QueueName): Promise<void> {
    this.parts.outbound.delivery_queue.push(this.open(file));
  }

  private async hold(name: QueueName): Promise<void> {
    const file = await this.rename(name, heldName(name));
    const { outbound } = this.parts;
    const waitMs = (parseQueueName(file)?.nextAttempt ?? 0) - Date.now();
    outbound.temp_fail_queue.add(file, waitMs, () => outbound.delivery_queue.push(this.open(file)));
  }

  private async release(name: QueueName): Promise<void> {
    const file = await this.rename(name, dueName(name, Date.now()));
    this.parts.outbound.delivery_queue.push(this.open(file));
  }

  /** As if its time were over: the sender gets a report, or the ledger an entry; if neither can be, the mail stays (keep-mail.ts). */
  private async bounce({ id, file }: QueueName): Promise<void> {
    const mail = this.open(file);
    const last = this.parts.answers.of(id);
    await new Promise<void>((resolve) => {
      mail.next_cb = resolve;
      mail.once('error', () => resolve());
      mail.bounce(
        `Too many failures (given up by the administrator${last === undefined ? '' : `; ${last.text}`})`,
      );
    });
    if (this.isWaiting(file))
      throw new Refusal('its failure cannot be reported now, so it stays: see the log');
  }

  /** Takes a mail out of the waiting room. @returns puts it back, unless it is there again. */
  private take({ file }: QueueName): () => void {
    const waiting = this.parts.outbound.temp_fail_queue;
    const timer = waiting.queue.find(({ id }) => id === file);
    if (timer === undefined) throw new Refusal('is being delivered now');
    const { fire_time, cb } = timer;
    waiting.discard(file);
    return () => {
      if (!this.isWaiting(file)) waiting.add(file, fire_time - Date.now(), () => cb?.());
    };
  }

  private isWaiting(file: string): boolean {
    return this.parts.outbound.temp_fail_queue.queue.some(({ id }) => id === file);
  }

  private open(file: string): HarakaMail {
    return new this.parts.outbound.HMailItem(file, join(this.parts.directory, file));
  }

  private async rename({ file }: QueueName, to: string): Promise<string> {
    const { directory } = this.parts;
    await rename(join(directory, file), join(directory, to));
    return to;
  }

  /** In the order of arrival. */
  private async names(): Promise<readonly QueueName[]> {
    await this.parts.settle();
    const names = await listQueue(this.parts.directory);
    return names.toSorted((left, right) => (positionOf(left) < positionOf(right) ? -1 : 1));
  }

  /** @returns undefined if it has left. @throws Refusal if it cannot be read. */
  private async read({ file }: QueueName, headers = false): ReturnType<typeof readQueueFile> {
    try {
      return await readQueueFile(join(this.parts.directory, file), headers);
    } catch (error) {
      throw new Refusal(`its queue file ${file} cannot be read: ${problemOf(error)}`);
    }
  }

  /** Milliseconds since the epoch at which each mail that waits is due, by file name. */
  private dueTimes(): ReadonlyMap<string, number> {
    return new Map(
      this.parts.outbound.temp_fail_queue.queue.map(({ id, fire_time }) => [id, fire_time] as const),
    );
  }

  private mailOf(name: QueueName, head: QueueHead, due: ReadonlyMap<string, number>): QueuedMail {
    const dueAt = due.get(name.file);
    const { leg } = head;
    return {
      id: name.id,
      state: name.held ? 'Held' : dueAt === undefined ? 'Active' : 'Deferred',
      arrived: seconds(name.arrived),
      size: head.size,
      attempts: name.attempts,
      nextAttempt: name.held || dueAt === undefined ? null : seconds(dueAt),
      lastAnswer: this.parts.answers.of(name.id) ?? null,
      domain: leg?.domain ?? null,
      recipientDomain: head.recipientDomain,
      destination:
        leg === undefined ? null : leg.hop.kind === 'Route' ? `Route/${leg.hop.route}` : leg.hop.kind,
    };
  }
}

function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}
