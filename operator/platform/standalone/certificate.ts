import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { readIfThere, replaceFile } from './state-files.ts';

/** Names as in a `kubernetes.io/tls` Secret. */
const certificateFile = 'tls.crt';
const keyFile = 'tls.key';
/** Marks the certificates that are ours to replace. */
const organization = 'Postern self-signed';
const lifetimeDays = 825;
const renewBeforeMs = 30 * 24 * 60 * 60 * 1000;

/**
 * Sees to it that the folder holds a certificate for STARTTLS: one that somebody put there stays, else a self-signed one is made,
 * which encrypts but proves nothing. It is made anew when it is about to expire or the name changed.
 *
 * @param hostName subject and only alternative name.
 * @param now milliseconds since the epoch.
 */
export async function ensureCertificate(directory: string, hostName: string, now: number): Promise<void> {
  const existing = await readIfThere(join(directory, certificateFile));
  if (existing !== undefined && (await readIfThere(join(directory, keyFile))) !== undefined) {
    const certificate = new X509Certificate(existing);
    const subject = certificate.subject.split('\n');
    const isFresh =
      Date.parse(certificate.validTo) - renewBeforeMs > now && subject.includes(`CN=${hostName}`);
    if (!subject.includes(`O=${organization}`) || isFresh) return;
  }
  const subject = [
    { name: 'commonName', value: hostName },
    { name: 'organizationName', value: organization },
  ];
  const made = await generate(subject, {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: new Date(now - 24 * 60 * 60 * 1000),
    notAfterDate: new Date(now + lifetimeDays * 24 * 60 * 60 * 1000),
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: hostName }] }],
  });
  await replaceFile(join(directory, keyFile), made.private);
  await replaceFile(join(directory, certificateFile), made.cert);
}
