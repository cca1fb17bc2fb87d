import { lookup } from 'node:dns/promises';
import { readFile, unlink } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { HarakaOutbound } from '../haraka.ts';
import { formatListenAddress, type ListenAddress } from '../options.ts';
import { DirectorySync } from './directory-sync.ts';

/** Mails that are on their way to other pods at a time. */
const atATime = 4;
const pollMs = 50;
/** Milliseconds that another pod has to write one mail and answer. */
const answerMs = 5_000;

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
  readonly token: string;
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
  /** Files that every pod has refused. */
  private readonly refused = new Set<string>();
  private peers: readonly ListenAddress[] | undefined;

  constructor(parts: HandOverParts) {
    this.parts = parts;
  }

  /**
   * Runs until nothing waits any more and `settled` says that nothing more will, or until the deadline. Never throws.
   *
   * @param deadline milliseconds since the epoch.
   * @param settled whether deliveries that may yet be put off have ended.
   */
  async run(deadline: number, settled: () => boolean): Promise<void> {
    try {
      this.peers = await this.findPeers();
      if (this.peers.length === 0) return;
      await Promise.all(Array.from({ length: atATime }, () => this.work(deadline, settled)));
      await this.sync.sync(this.parts.directory);
    } catch (error) {
      this.parts.problem(describe(error));
    }
  }

  private async work(deadline: number, settled: () => boolean): Promise<void> {
    const waiting = this.parts.outbound.temp_fail_queue;
    while (Date.now() < deadline && (this.peers ?? []).length > 0) {
      const isLast = settled();
      const next = waiting.queue.find(({ id }) => !this.refused.has(id));
      if (next === undefined) {
        if (isLast) return;
        await delay(pollMs);
        continue;
      }
      waiting.discard(next.id);
      if (!(await this.give(next.id))) {
        this.refused.add(next.id);
        waiting.add(next.id, next.fire_time - Date.now(), () => next.cb?.());
      }
    }
  }

  /** @returns whether the mail has another home now. */
  private async give(file: string): Promise<boolean> {
    try {
      return await this.offer(file);
    } catch (error) {
      this.parts.problem(`${file}: ${describe(error)}`);
      return false;
    }
  }

  /** @throws the file system's error. */
  private async offer(file: string): Promise<boolean> {
    const path = join(this.parts.directory, file);
    const bytes = await readFile(path);
    for (const peer of this.peers ?? []) {
      const status = (await this.put(peer, file, bytes)) ?? (await this.put(peer, file, bytes));
      if (status === 200) {
        await unlink(path);
        this.parts.handedOver(file);
        return true;
      }
      // Nobody there, or on its way out as well: not asked again.
      if (status === undefined || status === 503) this.peers = this.peers?.filter((one) => one !== peer);
      this.parts.problem(`${formatListenAddress(peer)} takes no mail: ${status ?? 'no answer'}`);
    }
    return false;
  }

  /** @returns undefined if there was no answer: the mail may be there all the same, and is asked for once more. */
  private async put(peer: ListenAddress, file: string, bytes: Buffer): Promise<number | undefined> {
    try {
      const response = await fetch(`http://${formatListenAddress(peer)}/queue/${file}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${this.parts.token}`, 'content-type': 'application/octet-stream' },
        body: new Uint8Array(bytes),
        signal: AbortSignal.timeout(answerMs),
      });
      await response.body?.cancel();
      return response.status;
    } catch {
      return undefined;
    }
  }

  private async findPeers(): Promise<ListenAddress[]> {
    const mine = new Set(
      Object.values(networkInterfaces()).flatMap((all = []) => all.map((one) => one.address)),
    );
    const found = await Promise.all(
      this.parts.peers.map(async ({ host, port }) => {
        const addresses = await lookup(host, { all: true }).catch(() => []);
        return addresses.map(({ address }) => ({ host: address, port }));
      }),
    );
    return found.flat().filter(({ host, port }) => !(mine.has(host) && port === this.parts.own.port));
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
