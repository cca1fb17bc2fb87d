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
import type { FreshMails } from './outbound/fresh-mail.ts';
import { nextQueueFile, type QueuedMessage, queueFileHead } from './outbound/queue-file.ts';
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
    const files: StagedFile[] = [];
    try {
      const queued: QueuedMessage = { id: message.id, from: message.from, queuedAt: Date.now() };
      const mails: { name: string; final: string; chunks: readonly Buffer[] }[] = [];
      const writes = message.marked.map(async ({ leg, headers, folder }, position) => {
        const marks = headerBlock(headers);
        if (leg.hop.kind === 'Maildir') {
          const place = await this.maildirs.place(mailboxOf(leg, message.policy), folder);
          const text = [toMailboxForm(marks), toMailboxForm(message.wire)];
          await stage(place, [mailboxHead(message, leg), ...text]);
          files.push(place);
          return;
        }
        const place = nextQueueFile(this.outbound, this.queueDirectory, queued, position + 1);
        const chunks = [queueFileHead(queued, leg, position + 1), marks, message.wire];
        await stage(place, chunks);
        files.push(place);
        mails.push({ ...place, chunks });
      });
      for (const result of await Promise.allSettled(writes))
        if (result.status === 'rejected') throw result.reason;
      if (deadline.expired) throw new Error('the deadline for filing has passed');
      for (const file of files) await publish(file);
      for (const directory of new Set(files.map((file) => file.directory)))
        await this.directories.sync(directory);
      for (const { name, final, chunks } of mails)
        this.outbound.delivery_queue.push(this.freshMails.open(name, final, chunks));
    } catch (error) {
      this.maildirs.forget();
      await Promise.all(files.map(withdraw));
      throw error;
    } finally {
      this.filing -= 1;
    }
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
