import { Readable } from 'node:stream';
import type { HarakaMail, HarakaOutbound } from '../haraka.ts';

/** Octets of mail that may be held for first attempts; what comes above is read from its file, as after a restart. */
const budget = 33_554_432;

/** Octets that are written at a time, as when a file is read: a time limit sees progress only between writes. */
const pieceBytes = 65_536;

/**
 * Hands mail that has just been filed to Haraka together with its octets: the file is there for what happens later, and the first
 * attempt need not read it again.
 */
export class FreshMails {
  private readonly make: (name: string, path: string, file: Buffer) => HarakaMail;
  private held = 0;
  /** Mail that somebody else has dropped, a queue order say. */
  private readonly lost = new FinalizationRegistry<number>((size) => {
    this.held -= size;
  });

  constructor({ HMailItem }: Pick<HarakaOutbound, 'HMailItem'>) {
    // The constructor of HMailItem begins to read, before a field of a subclass could be set.
    let handed: Buffer | undefined;
    class FreshMail extends HMailItem {
      declare file: Buffer | undefined;

      override size_file(): void {
        this.file = handed;
        this.file_size = handed?.length ?? 0;
        void this.read_todo();
      }

      override async _stream_bytes_from(
        path: string,
        range: { start: number; end: number },
      ): Promise<Buffer> {
        return this.file?.subarray(range.start, range.end + 1) ?? super._stream_bytes_from(path, range);
      }

      override data_stream(): AsyncIterable<Buffer> {
        return this.file === undefined
          ? super.data_stream()
          : Readable.from(pieces(this.file.subarray(this.data_start)), { objectMode: false });
      }
    }
    this.make = (name, path, file) => {
      handed = file;
      const mail = new FreshMail(name, path);
      handed = undefined;
      return mail;
    };
    this.HMailItem = HMailItem;
  }

  private readonly HMailItem: HarakaOutbound['HMailItem'];

  /**
   * @param name of the queue file.
   * @param path where it lies.
   * @param chunks what stands in it.
   */
  open(name: string, path: string, chunks: readonly Buffer[]): HarakaMail {
    const size = chunks.reduce((sum, { length }) => sum + length, 0);
    if (this.held + size > budget) return new this.HMailItem(name, path);
    const mail = this.make(name, path, Buffer.concat(chunks));
    this.held += size;
    this.lost.register(mail, size, mail);
    return mail;
  }

  /** The end of an attempt: from now on the mail is what its file says. */
  forget(mail: HarakaMail): void {
    if (mail.file === undefined) return;
    this.held -= mail.file.length;
    this.lost.unregister(mail);
    mail.file = undefined;
  }
}

function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let start = 0; start < bytes.length; start += pieceBytes)
    yield bytes.subarray(start, start + pieceBytes);
}
