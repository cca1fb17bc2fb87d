import type { Server as NetServer, Socket } from 'node:net';
import type { Haraka } from './haraka.ts';
import { type ProxyHeader, proxyLine, readProxyHeader } from './proxy-v2.ts';

/** As long as Haraka waits for a PROXY line. */
const waitMs = 30_000;

/**
 * Reads PROXY protocol headers of version 2 in front of Haraka's listeners, which know version 1 only: from a listed proxy the
 * first bytes are read here, the header becomes the equal line of version 1, and the socket is handed on with it. Connections of
 * everybody else are not touched; what they send as a header is no SMTP command.
 */
export function readProxiesInFront(haraka: Pick<Haraka, 'server' | 'netUtils'>): void {
  const { server } = haraka;
  const original = server.get_smtp_server;
  server.get_smtp_server = async (...args) => {
    const listener = await original.apply(server, args);
    readInFront(listener, (ip) => haraka.netUtils.is_haproxy_allowed(ip));
    return listener;
  };
}

function readInFront(listener: NetServer, isProxy: (ip: string) => boolean): void {
  const handlers = listener.listeners('connection');
  listener.removeAllListeners('connection');
  listener.on('connection', (socket: Socket) => {
    const handOn = () => {
      for (const handler of handlers) Reflect.apply(handler, listener, [socket]);
    };
    if (socket.remoteAddress !== undefined && isProxy(socket.remoteAddress)) readHeader(socket, handOn);
    else handOn();
  });
}

function readHeader(socket: Socket, handOn: () => void): void {
  let bytes: Buffer = Buffer.alloc(0);
  const stop = () => {
    clearTimeout(timer);
    socket.pause();
    socket.removeListener('data', take);
    socket.removeListener('error', drop);
    socket.removeListener('close', stop);
  };
  const drop = () => {
    stop();
    socket.destroy();
  };
  const refuse = (text: string) => {
    stop();
    socket.on('error', () => undefined);
    socket.end(`421 4.3.2 ${text}\r\n`, () => socket.destroy());
  };
  const take = (data: Buffer) => {
    bytes = bytes.length === 0 ? data : Buffer.concat([bytes, data]);
    const header = readProxyHeader(bytes);
    if (header.kind === 'partial') return;
    if (header.kind === 'malformed') {
      refuse(`PROXY header cannot be used: ${header.problem}`);
      return;
    }
    const line = header.kind === 'absent' ? '' : lineFor(header, socket);
    const rest = header.kind === 'absent' ? bytes : bytes.subarray(header.bytes);
    if (line === undefined) refuse('PROXY header cannot be used: the socket has no address');
    else if (header.kind !== 'absent' && readProxyHeader(rest).kind !== 'absent' && rest.length > 0)
      refuse('PROXY header cannot be used: there are two');
    else {
      stop();
      socket.unshift(Buffer.concat([Buffer.from(line), rest]));
      handOn();
      // Paused on purpose, so that nothing is read before somebody listens; that has to be undone on purpose.
      setImmediate(() => socket.resume());
    }
  };
  const timer = setTimeout(() => refuse('PROXY header does not come'), waitMs);
  socket.on('data', take);
  socket.on('error', drop);
  socket.on('close', stop);
}

/** For LOCAL the line names the ends of the socket itself: Haraka would wait for a line otherwise. */
function lineFor(
  header: Extract<ProxyHeader, { kind: 'client' | 'local' }>,
  { remoteAddress, remotePort, localAddress, localPort }: Socket,
): string | undefined {
  if (header.kind === 'client') return proxyLine(header.client);
  if (remoteAddress === undefined || localAddress === undefined) return undefined;
  const family = remoteAddress.includes(':') ? 6 : 4;
  return proxyLine({
    family,
    source: remoteAddress,
    destination: localAddress,
    sourcePort: remotePort ?? 0,
    destinationPort: localPort ?? 0,
  });
}
