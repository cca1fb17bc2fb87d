import { formatAddress } from '../policy/ip/address.ts';

/** First bytes of a PROXY protocol header of version 2. No SMTP client and no TLS handshake begins so. */
const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

/** Signature, version and command, family, length of the rest. */
const headBytes = 16;
/** Addresses and extensions; a load balancer's take some tens of bytes, with a client certificate some hundreds. */
const maxRestBytes = 4_096;

/** What the bytes that have come so far are. */
export type ProxyHeader =
  /** Not enough of them to say. */
  | { readonly kind: 'partial' }
  /** No header of version 2: they belong to whatever comes next. */
  | { readonly kind: 'absent' }
  /** @property bytes length of the header */
  | { readonly kind: 'client'; readonly bytes: number; readonly client: ProxiedClient }
  /** The proxy speaks for itself (a health check): the peer of the socket is the client. */
  | { readonly kind: 'local'; readonly bytes: number }
  | { readonly kind: 'malformed'; readonly problem: string };

interface ProxiedClient {
  readonly family: 4 | 6;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/**
 * Reads a PROXY protocol header of version 2 (the specification's section 2.2). Only TCP over IPv4 and IPv6 can have a client of
 * SMTP; extensions behind the addresses are skipped.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  const common = Math.min(bytes.length, signature.length);
  if (!bytes.subarray(0, common).equals(signature.subarray(0, common))) return { kind: 'absent' };
  if (bytes.length < headBytes) return { kind: 'partial' };
  const [versionAndCommand = 0, family = 0] = bytes.subarray(signature.length);
  const rest = bytes.readUInt16BE(headBytes - 2);
  if (versionAndCommand >> 4 !== 2) return malformed('the version is not 2');
  const command = versionAndCommand & 0x0f;
  if (command > 1) return malformed('the command is neither LOCAL nor PROXY');
  if (rest > maxRestBytes) return malformed('it is longer than any proxy needs');
  const end = headBytes + rest;
  if (bytes.length < end) return { kind: 'partial' };
  if (command === 0) return { kind: 'local', bytes: end };
  const size = addressBytes[family];
  if (size === undefined) return malformed('the family is not TCP over IPv4 or IPv6');
  if (rest < 2 * size + 4) return malformed('it is shorter than its addresses');
  const at = (start: number) => bytes.subarray(headBytes + start, headBytes + start + size);
  const client: ProxiedClient = {
    family: size === 4 ? 4 : 6,
    source: textOf(at(0)),
    destination: textOf(at(size)),
    sourcePort: bytes.readUInt16BE(headBytes + 2 * size),
    destinationPort: bytes.readUInt16BE(headBytes + 2 * size + 2),
  };
  return { kind: 'client', bytes: end, client };
}

/** The header of version 1 that says the same, which is the version that Haraka reads. */
export function proxyLine({
  family,
  source,
  destination,
  sourcePort,
  destinationPort,
}: ProxiedClient): string {
  return `PROXY TCP${family} ${source} ${destination} ${sourcePort} ${destinationPort}\r\n`;
}

const addressBytes: Readonly<Record<number, number>> = { 17: 4, 33: 16 };

function textOf(bytes: Buffer): string {
  const words = Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32BE(4 * i));
  return formatAddress({ family: bytes.length === 4 ? 4 : 6, words });
}

function malformed(problem: string): ProxyHeader {
  return { kind: 'malformed', problem };
}
