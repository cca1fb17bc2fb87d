import type { OutboundSocket } from '../haraka.ts';

/**
 * Has the end of a message go out with the dot that follows it: a piece of the message waits until something comes after it. A write is
 * one of the dearest things in a delivery, for both sides.
 *
 * @returns to be called in place of `socket.write`; what is written stays in order.
 */
export function joinWrites(socket: OutboundSocket): OutboundSocket['write'] {
  const write = socket.write.bind(socket);
  let waiting: Uint8Array | undefined;
  return (data, encoding, done) => {
    const before = waiting;
    const isPiece = typeof data !== 'string' && done === undefined;
    waiting = isPiece ? data : undefined;
    if (isPiece) return before === undefined || write(before);
    if (before === undefined) return write(data, encoding, done);
    const { targetsocket } = socket;
    targetsocket.cork?.();
    write(before);
    const hasRoom = write(data, encoding, done);
    targetsocket.uncork?.();
    return hasRoom;
  };
}
