import type { Haraka, HarakaConnection } from './haraka.ts';
import { isFinalDot, type Message } from './message.ts';
import { findEnvelope } from './session.ts';

/**
 * Takes the lines of DATA in Haraka's place, so that the bytes that are judged and filed are the bytes that came in. Haraka
 * keeps the final dot, and with it the state machine.
 * @param bareLf called at the first line that ends in a bare LF; has to close the connection. Waiting for the end of such a
 * message would mean to agree with its sender about where that is (SMTP smuggling).
 */
export function collectData(
  haraka: Pick<Haraka, 'connectionClass'>,
  bareLf: (connection: HarakaConnection, message: Message) => void,
): void {
  const { prototype } = haraka.connectionClass;
  const original = prototype.accumulate_data;
  prototype.accumulate_data = function (this: HarakaConnection, line: Buffer | string): void {
    const message = findEnvelope(this)?.message;
    if (message === undefined || this.transaction === null || typeof line === 'string' || isFinalDot(line)) {
      original.call(this, line);
      return;
    }
    this.transaction.data_bytes += line.length;
    if (!message.add(line)) bareLf(this, message);
  };
}
