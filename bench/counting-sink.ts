import { setTimeout as delay } from 'node:timers/promises';
import { type Child, startChild } from '../test/cluster/child.ts';
import { freePort } from '../test/cluster/free-port.ts';
import { ensureDebianParts } from '../test/parts/install.ts';

const host = '127.0.0.1';
/** Milliseconds between two looks at the count. */
const lookMs = 2;
const deadlineMs = 120_000;

/**
 * Postfix's smtp-sink: takes all mail, throws it away and counts it. Straight from smtp-source it took 2,800-5,000 messages a
 * second (750-960 with a connection for each) on the busy machine on which the MTAs reached 120-370.
 */
export class CountingSink {
  readonly host = host;
  readonly port: number;
  private readonly child: Child;

  private constructor(port: number, child: Child) {
    this.port = port;
    this.child = child;
  }

  /** @param port any free one unless given. */
  static async start(port?: number): Promise<CountingSink> {
    await ensureDebianParts(['postfix']);
    const own = port ?? (await freePort());
    // 256 sessions unless told otherwise, and as root it wants to become somebody else.
    const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
    const args = ['-c', '-4', '-m', '1000', ...user, `${host}:${own}`, '1000'];
    return new CountingSink(own, startChild('/usr/sbin/smtp-sink', args));
  }

  /** Messages that it has taken, as its running counter says. */
  get count(): number {
    return Number(
      this.child
        .log()
        .match(/(?<=mesg=)\d+(?=\r)/g)
        ?.at(-1) ?? 0,
    );
  }

  /** Waits until it has taken so many. @throws Error if they do not come. */
  async reaches(count: number): Promise<void> {
    const end = performance.now() + deadlineMs;
    while (this.count < count) {
      if (performance.now() > end)
        throw new Error(`only ${this.count} of ${count} messages reached the sink`);
      await delay(lookMs);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child.stop();
  }
}
