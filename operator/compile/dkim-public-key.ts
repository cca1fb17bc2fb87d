import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';

/** The public half of a DKIM key, as its DNS record and the bundle need it. */
export interface DkimPublicKey {
  readonly algorithm: 'RSA' | 'Ed25519';
  /** Length of the RSA modulus; 256 for Ed25519. */
  readonly bits: number;
  /**
   * Base64 for the `p=` tag: SubjectPublicKeyInfo for RSA (what verifiers read in practice, RFC 6376 erratum 3017), the
   * bare 32 bytes for Ed25519 (RFC 8463 section 4).
   */
  readonly p: string;
  /** SHA-256 (hex) of the SubjectPublicKeyInfo DER. */
  readonly publicKeySHA256: string;
}

/** SubjectPublicKeyInfo of an Ed25519 key up to its 32 bytes (RFC 8410). */
export const ed25519SpkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

/**
 * The public half of a private key.
 *
 * @param privateKeyPem PEM, PKCS#8 or PKCS#1, without a pass phrase
 * @returns undefined if the text is no RSA or Ed25519 private key
 */
export function publicKeyOf(privateKeyPem: string): DkimPublicKey | undefined {
  const key = readPrivateKey(privateKeyPem);
  return key === undefined ? undefined : describeKey(createPublicKey(key));
}

/**
 * Describes a public key.
 *
 * @returns undefined if it is neither RSA nor Ed25519
 */
export function describeKey(key: KeyObject): DkimPublicKey | undefined {
  const spki = key.export({ type: 'spki', format: 'der' });
  const publicKeySHA256 = createHash('sha256').update(spki).digest('hex');
  if (key.asymmetricKeyType === 'ed25519') {
    const p = spki.subarray(ed25519SpkiPrefix.length).toString('base64');
    return { algorithm: 'Ed25519', bits: 256, p, publicKeySHA256 };
  }
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (key.asymmetricKeyType !== 'rsa' || bits === undefined) return undefined;
  return { algorithm: 'RSA', bits, p: spki.toString('base64'), publicKeySHA256 };
}

function readPrivateKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    // OpenSSL's words about a broken PEM help nobody and differ between versions: the caller says what it expects.
    return undefined;
  }
}
