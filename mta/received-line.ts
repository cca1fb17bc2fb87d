import type { HarakaConnection } from './haraka.ts';

/** What the line tells of a message beside what its connection knows. */
interface Taken {
  /** By this MTA, under this name. */
  readonly heloName: string;
  readonly id: string;
  /** Path of MAIL FROM without brackets. */
  readonly envelopeFrom: string;
  /** Seconds since the epoch. */
  readonly now: number;
}

/** The value of the Received field that a message gets here (RFC 5321 4.4, RFC 3848, RFC 8314 7.4), folded. */
export function receivedLine(
  { hello, remote, tls }: Pick<HarakaConnection, 'hello' | 'remote' | 'tls'>,
  { heloName, id, envelopeFrom, now }: Taken,
): string {
  const protocol = `${hello.verb === 'EHLO' ? 'ESMTP' : 'SMTP'}${tls.enabled ? 'S' : ''}`;
  const { name, standardName = name, version } = tls.cipher;
  return [
    `from ${hello.host} ([${remote.ip}])`,
    `by ${heloName} (Postern) with ${protocol} id ${id}`,
    `envelope-from <${envelopeFrom}>${version === undefined ? '' : `\r\n\ttls ${standardName}`};`,
    new Date(now * 1000).toUTCString().replace(/GMT$/, '+0000'),
  ].join('\r\n\t');
}
