// Mail that comes in all the time while something is done to the cluster, and the account of it afterwards.
import { setTimeout as delay } from 'node:timers/promises';
import type { Sink } from '../wire/sink.ts';
import { message, SmtpClient } from '../wire/smtp-client.ts';

const senders = 4;
/** Between two mails of one sender: about 15 mails a second in all, which two shared cores bear besides a cluster. */
const pauseMs = 250;

/** What senders saw. */
export interface Account {
  /** Subjects of the mails that were answered 250. */
  readonly accepted: readonly string[];
  /** What else came: a reply, or the error of the connection. */
  readonly failures: readonly string[];
}

/** Sends mail, each over a connection of its own, until it is stopped. */
export class Traffic {
  private readonly accepted: string[] = [];
  private readonly failures: string[] = [];
  private readonly running: Promise<void>[];
  private stopped = false;

  /** @param mark what its subjects begin with; no two in one sink may be the same */
  constructor(at: { host: string; port: number }, recipient: string, mark: string) {
    this.running = Array.from({ length: senders }, (_, sender) =>
      this.send(at, recipient, `${mark}-${sender}`),
    );
  }

  /** How many mails were accepted so far. */
  get count(): number {
    return this.accepted.length;
  }

  /** Lets the last mails be answered. */
  async stop(): Promise<Account> {
    this.stopped = true;
    await Promise.all(this.running);
    return { accepted: this.accepted, failures: this.failures };
  }

  private async send(at: { host: string; port: number }, recipient: string, mark: string): Promise<void> {
    for (let number = 0; !this.stopped; number += 1) {
      const subject = `${mark}-${number}`;
      const problem = await sendMail(at, recipient, subject).catch((error: unknown) => String(error));
      if (problem === undefined) this.accepted.push(subject);
      else this.failures.push(`${subject}: ${problem}`);
      await delay(pauseMs);
    }
  }
}

/** Sends one mail. @returns undefined if it was accepted, else what was answered instead */
export async function sendMail(
  at: { host: string; port: number },
  recipient: string,
  subject: string,
): Promise<string | undefined> {
  const client = await SmtpClient.connect(at);
  try {
    const greeting = await client.reply();
    if (!greeting.startsWith('220')) return greeting;
    const hello = await client.send('EHLO client.example');
    if (!hello.startsWith('250')) return hello;
    const replies = await client.mail({ to: [recipient], data: message({ subject }) });
    const last = replies.at(-1) ?? '';
    if (!last.startsWith('250')) return replies.join(' / ');
    client.write('QUIT\r\n');
    return undefined;
  } finally {
    client.destroy();
  }
}

/** How often each of these subjects arrived: those that did not arrive exactly once. */
export function notOnce(sink: Sink, subjects: readonly string[]): Record<string, number> {
  const counts = new Map(subjects.map((subject) => [subject, 0]));
  for (const { data } of sink.mails) {
    const subject = /^Subject: (.*)\r$/m.exec(data)?.[1] ?? '';
    const count = counts.get(subject);
    if (count !== undefined) counts.set(subject, count + 1);
  }
  return Object.fromEntries([...counts].filter(([, count]) => count !== 1));
}
