import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join, relative, sep } from 'node:path';
import type { DirectorySync } from './outbound/directory-sync.ts';
import type { StagedFile } from './outbound/staged-file.ts';

/**
 * One component of a path, made from text that strangers choose: everything but letters, digits and a few harmless signs
 * becomes %XX, and so does a leading dot. Two different texts never give the same component.
 */
export function pathComponent(text: string): string {
  const escaped = Array.from(Buffer.from(text, 'utf8'), (byte) => {
    const sign = String.fromCharCode(byte);
    return /[A-Za-z0-9_.@+=-]/.test(sign) ? sign : percent(byte);
  }).join('');
  if (escaped === '') return '%';
  return escaped.startsWith('.') ? `${percent(0x2e)}${escaped.slice(1)}` : escaped;
}

/** `<root>/<domain>/<local part>/Maildir`; local parts are compared without case, so they are stored so. */
export function maildirOf(root: string, mailbox: { localPart: string; domain: string }): string {
  return join(root, pathComponent(mailbox.domain), pathComponent(mailbox.localPart.toLowerCase()), 'Maildir');
}

let deliveries = 0;

/** A name that nobody else uses, by the rules of maildir (cr.yp.to/proto/maildir.html): time, process and counter, host. */
function uniqueName(): string {
  deliveries += 1;
  const host = hostname().replaceAll('/', '\\057').replaceAll(':', '\\072');
  return `${Math.floor(Date.now() / 1000)}.P${process.pid}Q${deliveries}R${randomBytes(4).toString('hex')}.${host}`;
}

/** Makes mailboxes as they are needed and gives out places in them. */
export class Maildirs {
  private readonly root: string;
  private readonly directories: DirectorySync;
  private readonly known = new Set<string>();

  constructor(root: string, directories: DirectorySync) {
    this.root = root;
    this.directories = directories;
  }

  /**
   * The place of one new mail in `new/` of the mailbox, which exists afterwards.
   * @param folder of Maildir++, a subdirectory `.Folder`; absent: the inbox.
   * @throws the file system's error.
   */
  async place(mailbox: { localPart: string; domain: string }, folder?: string): Promise<StagedFile> {
    const inbox = maildirOf(this.root, mailbox);
    const maildir = folder === undefined ? inbox : join(inbox, `.${pathComponent(folder)}`);
    if (!this.known.has(maildir)) {
      for (const part of ['tmp', 'new', 'cur']) await this.make(join(maildir, part));
      if (folder !== undefined) await this.markFolder(maildir);
      this.known.add(maildir);
    }
    const name = uniqueName();
    const directory = join(maildir, 'new');
    return { temporary: join(maildir, 'tmp', name), final: join(directory, name), directory };
  }

  /** Forgets what exists: for when a mailbox was removed under our feet. */
  forget(): void {
    this.known.clear();
  }

  /** Says that the directory is a folder, not a mailbox of its own (Maildir++). */
  private async markFolder(maildir: string): Promise<void> {
    await writeFile(join(maildir, 'maildirfolder'), '', { mode: 0o600 });
  }

  private async make(path: string): Promise<void> {
    const first = await mkdir(path, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    // Every directory on the way that is new must survive a power failure together with the mail in it.
    let parent = dirname(first);
    for (const part of relative(parent, path).split(sep)) {
      await this.directories.sync(parent);
      parent = join(parent, part);
    }
  }
}

function percent(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}
