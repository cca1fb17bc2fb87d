import { connect as connectPlain, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';

/** A reply of several lines is one reply. */
export interface SmtpReply {
  readonly code: number;
  /** Without codes. */
  readonly lines: readonly string[];
}

/** No honest server comes near it. */
const maxReplyBytes = 65_536;

/** An SMTP or LMTP client that sends one command at a time and reads its reply. */
export class SmtpDialogue {
  private socket: Socket;
  private readonly signal: AbortSignal;
  private buffer = '';
  private failure: Error | undefined;
  private wake: (() => void) | undefined;

  private constructor(socket: Socket, signal: AbortSignal) {
    this.socket = socket;
    this.signal = signal;
    signal.addEventListener('abort', this.abort, { once: true });
    this.listen(socket);
  }

  /**
   * @param signal ends the dialogue at any time, and with it every promise of it.
   * @throws Error of the socket, or the signal's reason.
   */
  static async connect(address: { host: string; port: number }, signal: AbortSignal): Promise<SmtpDialogue> {
    signal.throwIfAborted();
    const socket = connectPlain({ ...address });
    const dialogue = new SmtpDialogue(socket, signal);
    await dialogue.until(() => socket.readyState === 'open', socket, 'connect');
    return dialogue;
  }

  /** Sends a command line and reads its reply. @throws Error if the line holds a line end, or the connection ends. */
  async send(line: string): Promise<SmtpReply> {
    if (/[\r\n\0]/.test(line)) throw new Error('a command with a line end in it is not sent');
    this.socket.write(`${line}\r\n`);
    return this.read();
  }

  /** Reads the next reply. @throws Error if what comes is none, or the connection ends before its end. */
  async read(): Promise<SmtpReply> {
    const lines: string[] = [];
    for (;;) {
      const [, code, more, text = ''] = /^([2-5]\d\d)(?:([ -])(.*))?$/.exec(await this.line()) ?? [];
      if (code === undefined) throw new Error('what it says is no SMTP reply');
      lines.push(text);
      if (more !== '-') return { code: Number(code), lines };
    }
  }

  /**
   * Goes on over TLS.
   * @throws Error if the handshake fails, or if the server has already sent something that was not protected.
   */
  async secure(options: ConnectionOptions): Promise<TLSSocket> {
    if (this.buffer !== '') throw new Error('it sends in clear what belongs behind the handshake');
    this.socket.removeAllListeners('data');
    const secure = connectTls({ ...options, socket: this.socket });
    this.socket = secure;
    this.listen(secure);
    let done = false;
    secure.once('secureConnect', () => {
      done = true;
    });
    await this.until(() => done, secure, 'secureConnect');
    return secure;
  }

  /** Says QUIT and closes, without waiting for an answer. */
  close(): void {
    this.signal.removeEventListener('abort', this.abort);
    this.socket.removeAllListeners('data');
    this.socket.end('QUIT\r\n');
    // The other side may keep its half open for as long as it likes.
    this.socket.destroySoon();
  }

  private readonly abort = (): void => {
    this.fail(this.signal.reason instanceof Error ? this.signal.reason : new Error('aborted'));
    this.socket.destroy();
  };

  private listen(socket: Socket): void {
    socket.on('data', (data: Buffer) => {
      this.buffer += data.toString('latin1');
      if (this.buffer.length > maxReplyBytes) {
        this.fail(new Error('its reply has no end'));
        socket.destroy();
      }
      this.wake?.();
    });
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('it closes the connection')));
    socket.on('end', () => this.fail(new Error('it closes the connection')));
  }

  /** The first failure is the cause; what follows are its effects. */
  private fail(error: Error): void {
    this.failure ??= error;
    this.wake?.();
  }

  private async line(): Promise<string> {
    await this.until(() => this.buffer.includes('\n'));
    const end = this.buffer.indexOf('\n');
    const line = this.buffer.slice(0, end).replace(/\r$/, '');
    this.buffer = this.buffer.slice(end + 1);
    return line;
  }

  private async until(condition: () => boolean, socket?: Socket, event?: string): Promise<void> {
    if (socket !== undefined && event !== undefined) socket.once(event, () => this.wake?.());
    while (!condition()) {
      if (this.failure !== undefined) throw this.failure;
      const woken = Promise.withResolvers<void>();
      this.wake = woken.resolve;
      await woken.promise;
    }
  }
}
