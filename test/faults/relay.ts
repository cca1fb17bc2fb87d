// The wire between a client and an API server, without a look at what goes over it: it can be cut, and fall silent.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface Relay {
  readonly port: number;
  /** Connections that clients have made so far. */
  readonly made: number;
  /** Connections that are open. */
  readonly open: number;
  /** From now on nothing comes through on what is open, and nobody is told: a half-open connection. */
  silence(): void;
  /** Ends what is open. */
  cut(): void;
  stop(): Promise<void>;
}

/** Starts a relay to a port of this machine. */
export async function startRelay(target: number): Promise<Relay> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let made = 0;
  const server = createServer((client) => {
    made += 1;
    const upstream = connect(target, '127.0.0.1');
    const pair = [client, upstream] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [upstream, client] as const]) {
      from.pipe(to);
      from.on('error', () => undefined);
      from.once('close', () => {
        to.destroy();
        pairs.delete(pair);
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const cut = () => {
    for (const [client] of pairs) client.destroy();
  };
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    get made() {
      return made;
    },
    get open() {
      return pairs.size;
    },
    silence() {
      for (const pair of pairs) for (const socket of pair) socket.unpipe().pause();
    },
    cut,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      cut();
      await closed;
    },
  };
}
