import { type Address, formatAddress } from './ip/address.ts';
import type { RangeIndex } from './ip/range-index.ts';
import { findRange } from './ip/range-index.ts';
import { tcpInfoOf } from './received.ts';
import type { DataFacts } from './types.ts';

/**
 * The other end of the connection. Kept apart from the OriginalClient by type: behind a gateway the two are never the same,
 * and a judgement about the one must not be made with the other.
 */
export interface Peer {
  readonly role: 'peer';
  readonly address: Address;
}

/** Who handed a message to the first registered hop of a gateway; Unknown is nobody: no verdict by address, SPF "none". */
export type OriginalClient =
  | { readonly role: 'originalClient'; readonly address: Address }
  | { readonly role: 'unknownClient'; readonly why: string };

/**
 * Finds the original client of a message that a registered hop hands over (D13). Each hop writes its Received line on top, so
 * the first line is the peer's. It is believed, and so is each line that a registered hop has written; the first address among
 * them that is not registered is the client, and nothing below is read: anybody could have written it. A hop that speaks to
 * itself (a filter on the same machine) does so over loopback, which is skipped as well.
 * @param gateway registered addresses of all hops.
 */
export function originalClientOf(headers: DataFacts['headers'], gateway: RangeIndex): OriginalClient {
  let line = 0;
  for (const [name, value] of headers) {
    if (name.toLowerCase() !== 'received') continue;
    line += 1;
    const address = tcpInfoOf(value);
    if (address === undefined) return unknown(`Received line ${line} does not say clearly who connected`);
    // Registered addresses do not expire.
    if (isLoopback(address) || findRange(gateway, address, 0) !== undefined) continue;
    return { role: 'originalClient', address };
  }
  return unknown(line === 0 ? 'the gateway writes no Received line' : 'no Received line names a client');
}

/** For traces. */
export function describeClient(client: OriginalClient): string {
  return client.role === 'originalClient'
    ? `the original client is ${formatAddress(client.address)}`
    : `the original client is unknown: ${client.why}`;
}

function unknown(why: string): OriginalClient {
  return { role: 'unknownClient', why };
}

function isLoopback({ family, words }: Address): boolean {
  if (family === 4) return (words[0] ?? 0) >>> 24 === 127;
  return words.every((word, i) => word === (i === 3 ? 1 : 0));
}
