// Dovecot as the mailbox server of a test: LMTP in, IMAP out, Sieve in between.
import { execFile } from 'node:child_process';
import { chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startChild } from '../cluster/child.ts';
import { freePort } from '../cluster/free-port.ts';
import { ensureDebianParts } from './install.ts';

/** A running Dovecot. */
export interface Dovecot {
  readonly host: string;
  readonly lmtpPort: number;
  readonly imapPort: number;
  /** The messages in a folder as IMAP gives them; none if the folder is not there. */
  messages(user: string, folder: string): Promise<string[]>;
  stop(): Promise<void>;
}

const host = '127.0.0.1';
const password = 'secret';
/** nobody:nogroup of Debian: a uid that may own mail. */
const mailUser = 65_534;
const mailGroup = 65_534;

/**
 * Starts a Dovecot that files mail with `X-Spam-Flag: YES` into Junk by Sieve, and mail to `user+Junk@` there by its
 * subaddress.
 * @param users addresses of the mailboxes.
 */
export async function startDovecot(users: readonly string[]): Promise<Dovecot> {
  await ensureDebianParts(['dovecot']);
  const folder = await mkdtemp(join(tmpdir(), 'postern-dovecot-'));
  const [lmtpPort, imapPort] = [await freePort(), await freePort()];
  const conf = join(folder, 'dovecot.conf');
  for (const name of ['base', 'state', 'sieve', 'mail']) await mkdir(join(folder, name), { mode: 0o755 });
  await writeFile(conf, config(folder, { lmtpPort, imapPort }));
  await writeFile(join(folder, 'users'), users.map((user) => userLine(user, folder)).join(''));
  await writeFile(join(folder, 'sieve', 'before.sieve'), sieve);
  if (process.getuid?.() === 0) {
    await promisify(execFile)('chmod', ['755', folder]);
    for (const name of ['mail', 'sieve']) await chown(join(folder, name), mailUser, mailGroup);
  }
  await promisify(execFile)('sievec', ['-c', conf, join(folder, 'sieve', 'before.sieve')]);
  const dovecot = startChild('/usr/sbin/dovecot', ['-F', '-c', conf], { cwd: folder, graceTenths: 60 });
  const stop = async () => {
    await dovecot.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    for (const port of [lmtpPort, imapPort]) await dovecot.ready(() => greets(port), 30_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return { host, lmtpPort, imapPort, messages: (user, box) => fetchAll(imapPort, user, box), stop };
}

const sieve = `require ["fileinto", "mailbox"];
if header :is "X-Spam-Flag" "YES" { fileinto :create "Junk"; stop; }
`;

function userLine(user: string, folder: string): string {
  return `${user}:{PLAIN}${password}:${mailUser}:${mailGroup}::${join(folder, 'mail', user)}::\n`;
}

function config(folder: string, { lmtpPort, imapPort }: { lmtpPort: number; imapPort: number }): string {
  const asRoot = process.getuid?.() === 0;
  return `
base_dir = ${folder}/base
state_dir = ${folder}/state
instance_name = ${folder}
log_path = /dev/stderr
listen = ${host}
protocols = imap lmtp
ssl = no
disable_plaintext_auth = no
mail_location = maildir:~/Maildir
first_valid_uid = 1
recipient_delimiter = +
lmtp_save_to_detail_mailbox = yes
lda_mailbox_autocreate = yes
lda_mailbox_autosubscribe = yes
${asRoot ? '' : 'default_internal_user = nobody\ndefault_internal_group = nogroup\ndefault_login_user = nobody'}
passdb {
  driver = passwd-file
  args = username_format=%Lu ${folder}/users
}
userdb {
  driver = passwd-file
  args = username_format=%Lu ${folder}/users
}
namespace inbox {
  inbox = yes
  mailbox Junk {
    special_use = \\Junk
    auto = subscribe
  }
}
plugin {
  sieve = file:~/sieve;active=~/.dovecot.sieve
  sieve_before = ${folder}/sieve/before.sieve
}
protocol lmtp {
  mail_plugins = sieve
}
service lmtp {
  inet_listener lmtp {
    port = ${lmtpPort}
  }
}
service imap-login {
  chroot =
  inet_listener imap {
    port = ${imapPort}
  }
  inet_listener imaps {
    port = 0
  }
}
service anvil {
  chroot =
}
`;
}

async function greets(port: number): Promise<boolean> {
  const socket = connect({ host, port });
  try {
    return await new Promise((resolve, reject) => {
      socket.once('data', (data) => resolve(/^(?:220|\* OK)/.test(data.toString())));
      socket.once('error', reject);
    });
  } finally {
    socket.destroy();
  }
}

/** One IMAP session: LOGIN, SELECT, FETCH of everything. */
async function fetchAll(port: number, user: string, folder: string): Promise<string[]> {
  const socket = connect({ host, port });
  try {
    const imap = new ImapReader(socket);
    await imap.command('a', `LOGIN "${user}" "${password}"`);
    const selected = await imap.command('b', `EXAMINE "${folder}"`).catch(() => '');
    if (!/\* [1-9]\d* EXISTS/.test(selected)) return [];
    const text = await imap.command('c', 'FETCH 1:* (BODY.PEEK[])');
    return literalsOf(text);
  } finally {
    socket.destroy();
  }
}

/** `{size}` CRLF and so many octets. */
function literalsOf(text: string): string[] {
  const found: string[] = [];
  const literal = /\{(\d+)\}\r\n/g;
  for (let match = literal.exec(text); match !== null; match = literal.exec(text)) {
    const end = literal.lastIndex + Number(match[1]);
    found.push(text.slice(literal.lastIndex, end));
    literal.lastIndex = end;
  }
  return found;
}

/** Sends commands and collects what comes until their tagged answer. Octets are read as Latin-1. */
class ImapReader {
  private readonly socket: Socket;
  private buffer = '';

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text) => {
      this.buffer += text;
    });
  }

  /** @throws Error if the answer is not OK. */
  command(tag: string, command: string): Promise<string> {
    this.socket.write(`${tag} ${command}\r\n`);
    const tagged = new RegExp(`(?:^|\\r\\n)${tag} (OK|NO|BAD)[^\\r]*\\r\\n$`);
    return new Promise((resolve, reject) => {
      const look = () => {
        const answer = tagged.exec(this.buffer);
        if (answer === null) return;
        const text = this.buffer;
        this.buffer = '';
        this.socket.off('data', look);
        if (answer[1] === 'OK') resolve(text);
        else reject(new Error(`${command}: ${answer[0].trim()}`));
      };
      this.socket.on('data', look);
      this.socket.once('error', reject);
      this.socket.once('close', () => reject(new Error(`${command}: the server has closed`)));
    });
  }
}
