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

/**
 * Watches the commands of a delivery. Haraka sends commands as strings and the message as buffers.
 * @param allow asked before each command; what it returns stops the delivery as a failure of the connection.
 * @returns tells the present phase.
 */
export function watchCommands(
  socket: OutboundSocket,
  allow: (next: Phase, before: ReadonlySet<Phase>) => string | undefined,
): () => Phase {
  const write = socket.write.bind(socket);
  const seen = new Set<Phase>();
  let phase: Phase = 'connect';
  socket.write = (data, encoding, done) => {
    const next =
      typeof data === 'string'
        ? phases[data.slice(0, Math.max(0, data.search(/[ \r]/))).toUpperCase()]
        : undefined;
    if (next !== undefined) {
      const problem = allow(next, seen);
      if (problem !== undefined) {
        queueMicrotask(() => socket.emit('error', new Error(problem)));
        return true;
      }
      phase = next;
      seen.add(next);
    }
    return write(data, encoding, done);
  };
  return () => phase;
}
