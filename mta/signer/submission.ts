import { signingOf } from '../../policy/signer.ts';
import type { AuthenticatedAccount, DataFacts } from '../../policy/types.ts';
import type { LoadedBundle } from '../bundle-watch.ts';
import type { KeyRing } from './key-ring.ts';
import { signMessage } from './signature.ts';

/** What finishing a message needs besides the message. */
export interface Finishing {
  /** As the client sent them. */
  readonly headers: DataFacts['headers'];
  /** Undefined for mail that comes in: it is neither completed nor signed. */
  readonly account: AuthenticatedAccount | undefined;
  readonly loaded: LoadedBundle | undefined;
  readonly keys: KeyRing;
  /** For a Message-ID. */
  readonly id: string;
  readonly heloName: string;
  /** Seconds since the epoch. */
  readonly now: number;
}

/** The message as it is filed, without our Received line; or the keys that are missing to sign it. */
export type Finished = { readonly wire: Buffer } | { readonly missing: readonly string[] };

/**
 * Completes what a mail client has left out (RFC 6409 8), and signs (P10, K10). The signature covers what is added here; the
 * Received line above it is not covered.
 * @param sent as the client sent it, dot-stuffed, without the fields that only we may write.
 */
export async function finishMessage(sent: Buffer, finishing: Finishing): Promise<Finished> {
  const { account, loaded, keys, headers, now } = finishing;
  if (account === undefined || loaded === undefined) return { wire: sent };
  const wire = Buffer.concat([Buffer.from(missingFields(finishing)), sent]);
  const { signers } = signingOf(loaded.policy, account, headers);
  if (signers.length === 0) return { wire };
  const found = keys.find(signers, loaded.secrets);
  if (found.missing.length > 0) return { missing: found.missing };
  return { wire: Buffer.concat([Buffer.from(await signMessage(wire, found.keys, now)), wire]) };
}

function missingFields({ headers, id, heloName, now }: Finishing): string {
  const has = (wanted: string) => headers.some(([name]) => name.trim().toLowerCase() === wanted);
  const date = new Date(now * 1000).toUTCString().replace(/GMT$/, '+0000');
  return [
    has('date') ? '' : `Date: ${date}\r\n`,
    has('message-id') ? '' : `Message-ID: <${id}@${heloName}>\r\n`,
  ].join('');
}
