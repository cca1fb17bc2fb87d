import type { OutboundSocket } from '../haraka.ts';
import { joinWrites } from './joined-writes.ts';

/** The last command of a delivery that Haraka has sent; `QUIT` does not count, since it is sent before a failure is told. */
export type Phase = 'connect' | 'hello' | 'starttls' | 'auth' | 'mail' | 'rcpt' | 'data' | 'end';

const phases: Readonly<Record<string, Phase>> = {
  EHLO: 'hello',
  LHLO: 'hello',
  HELO: 'hello',
  STARTTLS: 'starttls',
  AUTH: 'auth',
  MAIL: 'mail',
  RCPT: 'rcpt',
  DATA: 'data',
  '.': 'end',
};

export const quit = 'QUIT\r\n';

/** What is known of the commands on a connection. */
export interface CommandWatch {
  readonly phase: Phase;
  /**
   * A mail begins on the connection. Commands of mails before it still count as sent.
   * @param afterMail what Haraka will send once MAIL has been answered: it goes out with MAIL where the other side takes that
   * (PIPELINING, RFC 2920).
   */
  begin(afterMail?: string): void;
  /** Asked in place of sending QUIT; true: it is not sent. */
  atQuit: (() => boolean) | undefined;
  /** Shown each line of a reply before Haraka sees it; true: Haraka does not. */
  atReply: ((line: string) => boolean) | undefined;
}

/**
 * Watches the commands of a connection. Haraka sends commands as strings and the message as buffers.
 * @param allow asked before each command; what it returns stops the delivery as a failure of the connection.
 */
export function watchCommands(
  socket: OutboundSocket,
  allow: (next: Phase, before: ReadonlySet<Phase>) => string | undefined,
): CommandWatch {
  const write = joinWrites(socket);
  const seen = new Set<Phase>();
  let pipelining = false;
  /** To be sent with MAIL; and what was. */
  let afterMail: string | undefined;
  let sentAhead: string | undefined;
  const watch = {
    phase: 'connect' as Phase,
    atQuit: undefined as CommandWatch['atQuit'],
    atReply: undefined as CommandWatch['atReply'],
    begin(following?: string) {
      afterMail = following;
      sentAhead = undefined;
      watch.phase = 'connect';
      watch.atQuit = undefined;
      watch.atReply = undefined;
    },
  };
  const emit = socket.emit.bind(socket);
  socket.emit = (event: string | symbol, ...args: unknown[]) => {
    if (event !== 'line') return emit(event, ...args);
    const line = String(args[0]);
    if (watch.phase === 'hello') pipelining ||= /^250[ -]PIPELINING\s*$/i.test(line);
    return watch.atReply?.(line) ? true : emit(event, ...args);
  };
  socket.write = (data, encoding, done) => {
    if (typeof data !== 'string') return write(data, encoding, done);
    if (data === quit && watch.atQuit?.()) return true;
    const next = phases[data.slice(0, Math.max(0, data.search(/[ \r]/))).toUpperCase()];
    if (next !== undefined) {
      const differs = next === 'rcpt' && sentAhead !== undefined && data !== sentAhead;
      const problem = differs ? 'another recipient was sent with MAIL' : allow(next, seen);
      if (problem !== undefined) {
        queueMicrotask(() => socket.emit('error', new Error(problem)));
        return true;
      }
      watch.phase = next;
      seen.add(next);
    }
    if (next === 'hello') pipelining = false;
    if (next === 'mail' && pipelining && afterMail !== undefined) {
      sentAhead = afterMail;
      return write(`${data}${afterMail}`, encoding, done);
    }
    if (data === sentAhead) {
      sentAhead = undefined;
      return true;
    }
    return write(data, encoding, done);
  };
  return watch;
}
