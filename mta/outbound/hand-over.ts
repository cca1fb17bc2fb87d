import { lookup } from 'node:dns/promises';
import { readFile, unlink } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { HarakaOutbound } from '../haraka.ts';
import { formatListenAddress, type ListenAddress } from '../options.ts';
import { problemOf } from '../problem.ts';
import { type Answer, formatAnswer, lastAnswerHeader } from '../queue/last-answers.ts';
import { parseQueueName } from '../queue/queue-name.ts';
import { DirectorySync } from './directory-sync.ts';

/** Mails that are on their way to other pods at a time. */
const atATime = 8;
const pollMs = 50;
/** Milliseconds that another pod has to write one mail and answer; it may have as many mails to take as we have to give. */
const answerMs = 10_000;
/** Milliseconds until somebody is asked again where nobody could take a mail just now. */
const againMs = 500;
/** Milliseconds without anybody who takes a mail after which nobody is expected: a single pod that is replaced at the same time needs some. */
const lonelyMs = 15_000;

/** What came of offering a mail: whoever refuses it will not take it later either. */
type Offer = 'taken' | 'refused' | 'later';

/** Where the other processes of this MTA are asked: a name that leads to all of them, and the port of their HTTP server. */
export interface PeerName {
  readonly host: string;
  readonly port: number;
}

interface HandOverParts {
  readonly outbound: HarakaOutbound;
  readonly directory: string;
  readonly peers: readonly PeerName[];
  /** Our own HTTP server, which such a name may lead to as well. */
  readonly own: ListenAddress;
  /** Gives a mail its file, if it has none yet. */
  readonly settle: (file: string) => Promise<void>;
  readonly token: string;
  readonly lastAnswer: (id: string) => Answer | undefined;
  readonly handedOver: (id: string) => void;
  readonly problem: (text: string) => void;
}

/**
 * Gives the mail that waits here to other pods of this MTA, while the process ends. Haraka has stopped its timers by then, so what
 * waits belongs to whoever takes it out of the waiting room; what is being delivered is left to its delivery. A file goes when
 * another pod has said that it has the mail on its disk. What nobody takes stays in the queue directory.
 */
export class HandOver {
  private readonly parts: HandOverParts;
  private readonly sync = new DirectorySync();
  /** Files that a pod has refused. */
  private readonly refused = new Set<string>();
  private peers: readonly ListenAddress[] = [];
  /** When somebody last took a mail; milliseconds since the epoch. */
  private lastTaken = 0;
  /** Mails that are being offered. */
  private offering = 0;
  private looking: Promise<void> | undefined;

  constructor(parts: HandOverParts) {
    this.parts = parts;
  }

  /**
   * Runs until nothing waits any more and `settled` says that nothing more will, until nobody takes anything for a while, or until
   * the deadline. Never throws.
   *
   * @param deadline milliseconds since the epoch.
   * @param settled whether deliveries that may yet be put off have ended.
   */
  async run(deadline: number, settled: () => boolean): Promise<void> {
    try {
      this.lastTaken = Date.now();
      await this.findPeers();
      await Promise.all(Array.from({ length: atATime }, () => this.work(deadline, settled)));
      await this.sync.sync(this.parts.directory);
    } catch (error) {
      this.parts.problem(problemOf(error));
    }
  }

  private async work(deadline: number, settled: () => boolean): Promise<void> {
    const waiting = this.parts.outbound.temp_fail_queue;
    while (Date.now() < Math.min(deadline, this.lastTaken + lonelyMs)) {
      const isLast = settled();
      const next = waiting.queue.find(({ id }) => !this.refused.has(id));
      if (next === undefined) {
        if (isLast) return;
        if (this.offering === 0) this.lastTaken = Date.now();
        await delay(pollMs);
        continue;
      }
      waiting.discard(next.id);
      this.offering += 1;
      const offer = await this.offer(next.id).catch((error: unknown): Offer => {
        this.parts.problem(`${next.id}: ${problemOf(error)}`);
        return 'refused';
      });
      this.offering -= 1;
      if (offer === 'taken') {
        this.lastTaken = Date.now();
        continue;
      }
      if (offer === 'refused') this.refused.add(next.id);
      waiting.add(next.id, next.fire_time - Date.now(), () => next.cb?.());
      if (offer === 'refused') continue;
      await delay(againMs);
      if (this.peers.length === 0) await this.findPeers();
    }
  }

  /** @throws the file system's error. */
  private async offer(file: string): Promise<Offer> {
    const path = join(this.parts.directory, file);
    const id = parseQueueName(file)?.id ?? file;
    await this.parts.settle(file);
    const bytes = await readFile(path);
    let offer: Offer = 'later';
    for (const peer of this.peers) {
      const answer = await this.put(peer, file, bytes, this.parts.lastAnswer(id));
      if (answer === 200) {
        await unlink(path);
        this.parts.handedOver(id);
        return 'taken';
      }
      // It will not take this one: no mail that it can read, or too large.
      if (answer === 400 || answer === 413 || answer === 422) offer = 'refused';
      // On its way out as well, or gone.
      if (answer === 503 || answer === 'nobody') this.peers = this.peers.filter((one) => one !== peer);
      this.parts.problem(`${formatListenAddress(peer)}: ${answer}`);
    }
    return offer;
  }

  /** @returns the status; without an answer the mail may be there all the same, and the other pod knows it when it is asked again. */
  private async put(
    peer: ListenAddress,
    file: string,
    bytes: Buffer,
    lastAnswer: Answer | undefined,
  ): Promise<number | 'nobody' | 'no answer'> {
    try {
      const response = await fetch(`http://${formatListenAddress(peer)}/queue/${file}`, {
        method: 'PUT',
        headers: {
          authorization: `Bearer ${this.parts.token}`,
          'content-type': 'application/octet-stream',
          ...(lastAnswer && { [lastAnswerHeader]: formatAnswer(lastAnswer) }),
        },
        body: new Uint8Array(bytes),
        signal: AbortSignal.timeout(answerMs),
      });
      await response.body?.cancel();
      return response.status;
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : undefined;
      const isRefused = cause !== undefined && 'code' in cause && cause.code === 'ECONNREFUSED';
      return isRefused ? 'nobody' : 'no answer';
    }
  }

  /** Looks who is there, once for all that ask at the same time: a name may lead to a pod for a while that is gone. */
  private findPeers(): Promise<void> {
    this.looking ??= this.lookUp().finally(() => {
      this.looking = undefined;
    });
    return this.looking;
  }

  private async lookUp(): Promise<void> {
    const mine = new Set(
      Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address)),
    );
    const found = await Promise.all(
      this.parts.peers.map(async ({ host, port }) => {
        const addresses = await lookup(host, { all: true }).catch(() => []);
        return addresses.map(({ address }) => ({ host: address, port }));
      }),
    );
    this.peers = found.flat().filter(({ host, port }) => !(mine.has(host) && port === this.parts.own.port));
  }
}
