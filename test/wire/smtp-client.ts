import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

const deadlineMs = 30_000;

/** An SMTP client that sends exactly the bytes it is given and reads one reply at a time. */
export class SmtpClient {
  private socket: Socket;
  private buffer = '';
  private ended = false;
  private wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.listen(socket);
  }

  static async connect(options: { host: string; port: number; localAddress?: string }): Promise<SmtpClient> {
    const socket = connect(options);
    await once(socket, 'connect');
    return new SmtpClient(socket);
  }

  /** Sends bytes as they are. */
  write(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** Sends a command line and returns the reply. */
  async send(command: string): Promise<string> {
    this.write(`${command}\r\n`);
    return this.reply();
  }

  /** MAIL, RCPTs and DATA. @returns the replies in order: MAIL, each RCPT, end of data (absent if nobody was accepted). */
  async mail(envelope: { from?: string; to: readonly string[]; data?: string }): Promise<string[]> {
    const replies = [await this.send(`MAIL FROM:<${envelope.from ?? 'sender@elsewhere.example'}>`)];
    for (const recipient of envelope.to) replies.push(await this.send(`RCPT TO:<${recipient}>`));
    if (!replies.slice(1).some((reply) => reply.startsWith('250'))) {
      await this.send('RSET');
      return replies;
    }
    const go = await this.send('DATA');
    if (!go.startsWith('354')) return [...replies, go];
    this.write(`${envelope.data ?? message()}.\r\n`);
    return [...replies, await this.reply()];
  }

  /** The next reply, its lines joined by \n; `closed` if the server has ended the connection. */
  async reply(): Promise<string> {
    const lines: string[] = [];
    for (;;) {
      const line = await this.line();
      if (line === undefined) return lines.length === 0 ? 'closed' : lines.join('\n');
      lines.push(line);
      if (/^\d{3}(?: |$)/.test(line)) return lines.join('\n');
    }
  }

  /**
   * STARTTLS after its 220; whatever is read next comes through TLS.
   * @param servername of SNI.
   * @returns the server's certificate in PEM.
   */
  async secure(servername?: string): Promise<string> {
    this.socket.removeAllListeners('data');
    const options = { socket: this.socket, rejectUnauthorized: false, ...(servername && { servername }) };
    const secure = connectTls(options);
    await once(secure, 'secureConnect');
    this.socket = secure;
    this.listen(secure);
    return secure.getPeerX509Certificate()?.toString() ?? '';
  }

  /** Ends our half and waits for the other's end. */
  async close(): Promise<void> {
    this.socket.end();
    await this.untilClosed();
  }

  /** Waits until the server has closed; returns what it still sent. */
  async untilClosed(): Promise<string> {
    while (!this.ended) await this.more();
    return this.buffer;
  }

  destroy(): void {
    this.socket.destroy();
  }

  private listen(socket: Socket): void {
    socket.on('data', (data) => {
      this.buffer += data.toString('latin1');
      this.wake?.();
    });
    for (const event of ['end', 'close', 'error']) {
      socket.on(event, () => {
        this.ended = true;
        this.wake?.();
      });
    }
  }

  private async line(): Promise<string | undefined> {
    for (;;) {
      const end = this.buffer.indexOf('\n');
      if (end !== -1) {
        const line = this.buffer.slice(0, end).replace(/\r$/, '');
        this.buffer = this.buffer.slice(end + 1);
        return line;
      }
      if (this.ended) return undefined;
      await this.more();
    }
  }

  private async more(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no answer within ${deadlineMs} ms; read so far: ${this.buffer}`)),
        deadlineMs,
      );
      this.wake = () => {
        clearTimeout(timer);
        this.wake = undefined;
        resolve();
      };
    });
  }
}

/** A small, flawless message, ending in CRLF. */
export function message(over: { from?: string; subject?: string; body?: string } = {}): string {
  const { from = 'sender@elsewhere.example', subject = 'hello', body = 'text\r\n' } = over;
  return `From: <${from}>\r\nTo: <somebody@example.org>\r\nSubject: ${subject}\r\n\r\n${body}`;
}
