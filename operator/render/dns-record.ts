import type { DkimPublicKey } from '../compile/dkim-public-key.ts';

/** A DKIM record in the forms that DNS hosts ask for. */
export interface DnsRecord {
  /** `<selector>._domainkey.<domain>`, without a final dot. */
  readonly name: string;
  readonly value: string;
  /** `value` in strings of at most 255 bytes (RFC 1035 section 3.3.14); joined they are `value` (RFC 6376 section 3.6.2.2). */
  readonly chunks: readonly string[];
  /** One line for a zone file or `nsupdate`'s `update add`. */
  readonly zoneFileLine: string;
}

const maxChunkBytes = 255;
/** Between the hour that most DNS panels preset and a day that would make corrections slow. */
const defaultTtlSeconds = 3600;

/**
 * The record under which receivers find a key (K5).
 *
 * @param domain A-labels in lower case
 * @param selector one DNS label
 * @param ttlSeconds for the zone file line
 */
export function dkimDnsRecord(
  domain: string,
  selector: string,
  key: Pick<DkimPublicKey, 'algorithm' | 'p'>,
  ttlSeconds = defaultTtlSeconds,
): DnsRecord {
  const name = dkimHost(domain, selector);
  const value = `v=DKIM1; k=${key.algorithm === 'RSA' ? 'rsa' : 'ed25519'}; p=${key.p}`;
  const chunks = splitValue(value);
  const strings = chunks.map((chunk) => `"${chunk}"`).join(' ');
  return { name, value, chunks, zoneFileLine: `${name}. ${ttlSeconds} IN TXT ${strings}` };
}

/** Where receivers look for the key (RFC 6376 section 3.6.2.1). */
export function dkimHost(domain: string, selector: string): string {
  return `${selector}._domainkey.${domain}`;
}

function splitValue(value: string): string[] {
  // The value is ASCII, so characters are bytes.
  const chunks: string[] = [];
  for (let at = 0; at < value.length; at += maxChunkBytes) chunks.push(value.slice(at, at + maxChunkBytes));
  return chunks;
}
