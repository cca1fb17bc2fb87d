import type { OutboundSocket } from '../haraka.ts';

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
  /** A mail begins on the connection. Commands of mails before it still count as sent. */
  begin(): void;
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
  const write = socket.write.bind(socket);
  const seen = new Set<Phase>();
  const watch = {
    phase: 'connect' as Phase,
    atQuit: undefined as CommandWatch['atQuit'],
    atReply: undefined as CommandWatch['atReply'],
    begin() {
      watch.phase = 'connect';
      watch.atQuit = undefined;
      watch.atReply = undefined;
    },
  };
  const emit = socket.emit.bind(socket);
  socket.emit = (event: string | symbol, ...args: unknown[]) =>
    event === 'line' && watch.atReply?.(String(args[0])) ? true : emit(event, ...args);
  socket.write = (data, encoding, done) => {
    if (typeof data !== 'string') return write(data, encoding, done);
    if (data === quit && watch.atQuit?.()) return true;
    const next = phases[data.slice(0, Math.max(0, data.search(/[ \r]/))).toUpperCase()];
    if (next !== undefined) {
      const problem = allow(next, seen);
      if (problem !== undefined) {
        queueMicrotask(() => socket.emit('error', new Error(problem)));
        return true;
      }
      watch.phase = next;
      seen.add(next);
    }
    return write(data, encoding, done);
  };
  return watch;
}
