import { createHash } from 'node:crypto';
import { generate } from 'selfsigned';

/** A self-signed certificate for this name; it is its own CA. @param validity absent: a year from now on. */
export async function makeCertificate(
  name = 'mx.mta.example',
  validity: { notBeforeDate?: Date; notAfterDate?: Date } = {},
): Promise<{ cert: string; key: string; fingerprint: string }> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    curve: 'P-256',
    ...validity,
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: name }] },
    ],
  });
  return { cert, key, fingerprint: createHash('sha256').update(cert).digest('hex') };
}

/** The same with an RSA key: the only one that all old ciphers can be tried with. */
export async function makeRsaCertificate(name = 'mx.mta.example'): Promise<{ cert: string; key: string }> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: name }], {
    keyType: 'rsa',
    keySize: 2048,
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: name }] }],
  });
  return { cert, key };
}
