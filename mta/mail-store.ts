import type { Address } from '@haraka/email-address';
import type { Leg } from '../bundle/leg.ts';
import type { Policy } from '../policy/load.ts';
import { parseMailbox } from '../policy/mailbox.ts';
import { userOf } from '../policy/recipient.ts';
import type { MarkedLeg } from '../policy/types.ts';
import type { Deadline } from './guard.ts';
import type { HarakaOutbound } from './haraka.ts';
import { Maildirs } from './maildir.ts';
import { headerBlock, toMailboxForm } from './message.ts';
import { DirectorySync } from './outbound/directory-sync.ts';
import type { FreshMails, Journalled } from './outbound/fresh-mail.ts';
import type { JournalLeg } from './outbound/journal-record.ts';
import { nextQueueName, placeInQueue, type QueuedMessage, queueFileHead } from './outbound/queue-file.ts';
import { publish, type StagedFile, stage, withdraw } from './outbound/staged-file.ts';

/** A message that is about to be answered 250. */
export interface AcceptedMessage {
  readonly id: string;
  readonly from: Address;
  readonly marked: readonly MarkedLeg[];
  /** Says which local parts are mailboxes and which have a subaddress. */
  readonly policy: Policy | undefined;
  /** As it goes over the wire: dot-stuffed, CRLF, what we write into every copy on top. */
  readonly wire: Buffer;
}

/**
 * Files accepted mail: one queue file for each leg that leaves, one file in a Maildir for each that stays. All of them are
 * on disk before the sender reads 250, or none is there at all.
 */
export class MailStore {
  private readonly outbound: HarakaOutbound;
  private readonly freshMails: FreshMails;
  private readonly queueDirectory: string;
  private readonly directories = new DirectorySync();
  private readonly maildirs: Maildirs;
  private filing = 0;

  constructor(outbound: HarakaOutbound, freshMails: FreshMails, paths: { queue: string; maildir: string }) {
    this.outbound = outbound;
    this.freshMails = freshMails;
    this.queueDirectory = paths.queue;
    this.maildirs = new Maildirs(paths.maildir, this.directories);
  }

  /** Messages that are being written now. */
  get busy(): number {
    return this.filing;
  }

  /**
   * @param deadline when it has expired nothing becomes visible any more: the sender was told 451.
   * @throws the file system's error, or an Error for a leg that cannot be filed. Nothing of the message remains then.
   */
  async file(message: AcceptedMessage, deadline: Deadline): Promise<void> {
    this.filing += 1;
    const expire = () => {
      if (deadline.expired) throw new Error('the deadline for filing has passed');
    };
    const files: StagedFile[] = [];
    const journalled: Journalled[] = [];
    try {
      await this.freshMails.resumed;
      const legs = this.queueLegs(message);
      const isFresh = legs.length > 0 && this.freshMails.hasRoomFor(legs, message.wire);
      const writes = message.marked
        .filter(({ leg }) => leg.hop.kind === 'Maildir')
        .map(async (marked) => {
          files.push(await this.stageInMailbox(message, marked));
        });
      if (isFresh)
        writes.push(this.freshMails.take(legs, message.wire).then((taken) => void journalled.push(taken)));
      else
        for (const { name, head } of legs)
          writes.push(stage(this.placeOf(name), [head, message.wire]).then((file) => void files.push(file)));
      for (const result of await Promise.allSettled(writes))
        if (result.status === 'rejected') throw result.reason;
      expire();
      for (const file of files) await publish(file);
      for (const directory of new Set(files.map((file) => file.directory)))
        await this.directories.sync(directory);
      expire();
      for (const taken of journalled) taken.start();
      if (isFresh) return;
      for (const { name } of legs)
        this.outbound.delivery_queue.push(new this.outbound.HMailItem(name, this.placeOf(name).final));
    } catch (error) {
      this.maildirs.forget();
      for (const taken of journalled) taken.withdraw();
      await Promise.all(files.map(withdraw));
      throw error;
    } finally {
      this.filing -= 1;
    }
  }

  private placeOf(name: string): StagedFile {
    return placeInQueue(this.outbound, this.queueDirectory, name);
  }

  /** The legs that leave. The order of a leg among all of its message is part of its id. */
  private queueLegs({ id, from, marked }: AcceptedMessage): JournalLeg[] {
    const queued: QueuedMessage = { id, from, queuedAt: Date.now() };
    return marked.flatMap(({ leg, headers }, position) => {
      if (leg.hop.kind === 'Maildir') return [];
      const order = position + 1;
      const head = Buffer.concat([queueFileHead(queued, leg, order), headerBlock(headers)]);
      return [{ name: nextQueueName(this.outbound, queued, order), head }];
    });
  }

  private async stageInMailbox(
    message: AcceptedMessage,
    { leg, headers, folder }: MarkedLeg,
  ): Promise<StagedFile> {
    const place = await this.maildirs.place(mailboxOf(leg, message.policy), folder);
    const text = [toMailboxForm(headerBlock(headers)), toMailboxForm(message.wire)];
    return stage(place, [mailboxHead(message, leg), ...text]);
  }
}

/** The mailbox of a recipient: `user+tag` lies with `user`, unless `user+tag` is a recipient of its own (I12). */
function mailboxOf(leg: Leg, policy: Policy | undefined): { localPart: string; domain: string } {
  const mailbox = parseMailbox(leg.recipient);
  if (mailbox === undefined) throw new Error(`leg of ${leg.domain} has no valid recipient`);
  const recipients = policy?.domains.get(leg.domain)?.policy.recipients;
  return recipients === undefined
    ? mailbox
    : { ...mailbox, localPart: userOf(mailbox.localPart, recipients) };
}

/** What final delivery adds on top (RFC 5321 4.4); the addresses were parsed, so they hold no line end. */
function mailboxHead(message: AcceptedMessage, leg: Leg): Buffer {
  return Buffer.from(`Return-Path: ${message.from.format()}\nDelivered-To: ${leg.recipient}\n`);
}
