import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** An SMTP reply as it came over the wire (RFC 5321 4.2); the lines of a multi-line reply are joined by newlines, without codes. */
export interface SmtpReply {
  readonly code: number;
  readonly text: string;
  /** The last line, whole: `550 5.7.1 ... (ref 0123ABCD)`. */
  readonly line: string;
}

export interface SmtpSessionOptions {
  readonly host: string;
  readonly port: number;
  /** Address to connect from; on Linux every 127.x.y.z is one of ours. */
  readonly localAddress?: string;
  /** Line that a load balancer would send first: `PROXY TCP4 192.0.2.1 127.0.0.1 1024 25`. */
  readonly proxyLine?: string;
  /** Longest wait for any reply, milliseconds. */
  readonly timeoutMs?: number;
}

/**
 * One SMTP session, command by command. Mail libraries hide the reply to each RCPT and correct what is malformed; here both are
 * the point.
 */
export class SmtpSession {
  private socket: Socket;
  private received = '';
  private waiting: PromiseWithResolvers<void> | undefined;
  private ended: Error | undefined;
  private readonly timeoutMs: number;

  private constructor(socket: Socket, timeoutMs: number) {
    this.socket = socket;
    this.timeoutMs = timeoutMs;
    this.attach(socket);
  }

  /**
   * Connects and reads the greeting.
   * @throws Error if nobody answers in time.
   */
  static async open(options: SmtpSessionOptions): Promise<{ session: SmtpSession; greeting: SmtpReply }> {
    const { host, port, localAddress, proxyLine, timeoutMs = 20_000 } = options;
    const socket = connectTcp({ host, port, ...(localAddress === undefined ? {} : { localAddress }) });
    socket.setNoDelay(true);
    await once(socket, 'connect', { signal: AbortSignal.timeout(timeoutMs) });
    const session = new SmtpSession(socket, timeoutMs);
    if (proxyLine !== undefined) socket.write(`${proxyLine}\r\n`);
    return { session, greeting: await session.reply() };
  }

  /** Sends one line and waits for its reply. @throws Error if the server hangs up or keeps silent. */
  async command(line: string): Promise<SmtpReply> {
    this.socket.write(`${line}\r\n`);
    return await this.reply();
  }

  /** Sends the text after DATA has been answered with 354, dots stuffed and ended (RFC 5321 4.5.2). */
  async message(text: string): Promise<SmtpReply> {
    const lines = text.replace(/\r?\n/g, '\r\n').replace(/^\./gm, '..');
    this.socket.write(`${lines}${lines.endsWith('\r\n') ? '' : '\r\n'}.\r\n`);
    return await this.reply();
  }

  /** STARTTLS and the handshake; any certificate is taken. The caller says EHLO again (RFC 3207 4.2). */
  async startTls(): Promise<SmtpReply> {
    const reply = await this.command('STARTTLS');
    if (reply.code !== 220) return reply;
    const plain = this.socket;
    plain.removeAllListeners('data');
    const secure = connectTls({ socket: plain, rejectUnauthorized: false });
    await once(secure, 'secureConnect', { signal: AbortSignal.timeout(this.timeoutMs) });
    this.socket = secure;
    this.attach(secure);
    return reply;
  }

  /** Whether the server has closed the connection, or said that it will. */
  get closed(): boolean {
    return this.ended !== undefined;
  }

  /** Notes that the last reply announced the end of the connection. */
  expectClose(): void {
    this.ended ??= new Error('the server said that it closes the connection');
  }

  /** Says QUIT if the server still listens, and closes the connection. */
  async quit(): Promise<void> {
    if (this.ended === undefined) await this.command('QUIT').catch(() => undefined);
    this.socket.destroy();
  }

  private attach(socket: Socket): void {
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => {
      this.received += chunk;
      this.waiting?.resolve();
    });
    const end = (error: Error): void => {
      this.ended ??= error;
      this.waiting?.resolve();
    };
    socket.on('error', end);
    socket.on('close', () => end(new Error('the server closed the connection')));
  }

  private async reply(): Promise<SmtpReply> {
    const deadline = Date.now() + this.timeoutMs;
    for (;;) {
      const match = /^((?:\d{3}-.*\r\n)*)(\d{3})(?: (.*))?\r\n/.exec(this.received);
      if (match !== null) {
        this.received = this.received.slice(match[0].length);
        const lines = match[0].trimEnd().split('\r\n');
        return {
          code: Number(match[2]),
          text: lines.map((line) => line.slice(4)).join('\n'),
          line: lines.at(-1) ?? '',
        };
      }
      if (this.ended !== undefined) throw new Error(`no reply: ${this.ended.message}`);
      await this.more(deadline - Date.now());
    }
  }

  private async more(milliseconds: number): Promise<void> {
    this.waiting = Promise.withResolvers<void>();
    const timer = setTimeout(
      () => this.waiting?.reject(new Error(`no reply within ${this.timeoutMs} ms`)),
      Math.max(milliseconds, 0),
    );
    try {
      await this.waiting.promise;
    } finally {
      clearTimeout(timer);
      this.waiting = undefined;
    }
  }
}
