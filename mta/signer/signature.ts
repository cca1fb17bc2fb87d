import { createHash, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import type { DkimSigner } from '../../bundle/domain-policy.ts';
import { type RawField, relaxedBody, relaxedField, splitMessage } from './canonical.ts';

/**
 * Header fields that are signed wherever they stand, and once more than they stand: nobody can add one without breaking the
 * signature (RFC 6376 8.15).
 */
const signedFields = [
  'From',
  'Subject',
  'Date',
  'To',
  'Cc',
  'Reply-To',
  'Message-ID',
  'MIME-Version',
  'Content-Type',
  'Content-Transfer-Encoding',
] as const;

/** Characters of a line of base64 in the header field. */
const lineLength = 72;

/** A signer with its private key. */
export interface SigningKey {
  readonly signer: Pick<DkimSigner, 'domain' | 'selector' | 'algorithm'>;
  readonly key: KeyObject;
}

// With a callback it runs on the thread pool: an RSA signature would hold the event loop up for more than half a millisecond.
const signOnPool = promisify<string | undefined | null, Uint8Array, KeyObject, Buffer>(sign);

/**
 * Signs a message with every key (RFC 6376, RFC 8463): relaxed/relaxed, SHA-256, the whole body.
 * @param wire as it goes over the wire, dot-stuffed, without any field that is added on top.
 * @param now seconds since the epoch, for t=.
 * @returns the DKIM-Signature fields, each with its line end, in the order of the keys.
 */
export async function signMessage(wire: Buffer, keys: readonly SigningKey[], now: number): Promise<string> {
  const { fields, bodyStart } = splitMessage(wire);
  const bodyHash = createHash('sha256').update(relaxedBody(wire, bodyStart)).digest('base64');
  const { names, text } = selectFields(fields);
  const signatures = keys.map(async ({ signer, key }) => {
    const unsigned = signatureField(signer, names, bodyHash, now);
    const field = { name: 'dkim-signature', text: unsigned };
    const input = Buffer.from(text + relaxedField(field), 'latin1');
    // RFC 8463 section 3: Ed25519 signs the hash.
    const signature =
      signer.algorithm === 'RSA'
        ? await signOnPool('sha256', input, key)
        : await signOnPool(undefined, createHash('sha256').update(input).digest(), key);
    return `${unsigned}${folded(signature.toString('base64'))}\r\n`;
  });
  return (await Promise.all(signatures)).join('');
}

/** The names of h= and the fields in that order, relaxed; several of one name from the bottom up (RFC 6376 5.4.2). */
function selectFields(fields: readonly RawField[]): { names: string[]; text: string } {
  const names: string[] = [];
  let text = '';
  for (const name of signedFields) {
    const own = fields.filter((field) => field.name === name.toLowerCase()).toReversed();
    for (const field of own) text += `${relaxedField(field)}\r\n`;
    names.push(...Array.from({ length: own.length + 1 }, () => name));
  }
  return { names, text };
}

function signatureField(
  { domain, selector, algorithm }: SigningKey['signer'],
  names: readonly string[],
  bodyHash: string,
  now: number,
): string {
  const lines: string[] = [];
  for (const name of names) {
    const last = lines.at(-1);
    if (last === undefined || last.length + name.length > lineLength) lines.push(name);
    else lines[lines.length - 1] = `${last}:${name}`;
  }
  return [
    `DKIM-Signature: v=1; a=${algorithm === 'RSA' ? 'rsa' : 'ed25519'}-sha256; c=relaxed/relaxed;`,
    `d=${domain}; s=${selector}; t=${now};`,
    `h=${lines.join(':\r\n\t')};`,
    `bh=${bodyHash};`,
    'b=',
  ].join('\r\n\t');
}

/** White space in b= does not count (RFC 6376 3.5). */
function folded(base64: string): string {
  return (base64.match(new RegExp(`.{1,${lineLength}}`, 'g')) ?? []).join('\r\n\t ');
}
