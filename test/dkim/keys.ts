import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { DkimSigner } from '../../bundle/domain-policy.ts';

/** A key with all that the world and the MTA know of it. */
export interface TestKey {
  readonly signer: DkimSigner;
  readonly key: KeyObject;
  /** PKCS#8. */
  readonly pem: string;
  readonly record: readonly [name: string, value: string];
}

/** Makes a key for `<selector>._domainkey.<domain>`. */
export function makeKey(
  domain: string,
  selector: string,
  algorithm: DkimSigner['algorithm'] = 'RSA',
  { bits = 2048, fallback = false } = {},
): TestKey {
  const { privateKey, publicKey } =
    algorithm === 'RSA'
      ? generateKeyPairSync('rsa', { modulusLength: bits })
      : generateKeyPairSync('ed25519');
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  // RFC 8463: the 32 bytes themselves, which end the structure.
  const p = algorithm === 'RSA' ? spki : spki.subarray(-32);
  const source = { kind: 'DkimKey', name: selector, generation: 1 } as const;
  const publicKeySHA256 = createHash('sha256').update(spki).digest('hex');
  return {
    signer: { source, domain, selector, algorithm, publicKeySHA256, fallback },
    key: privateKey,
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    record: [
      `${selector}._domainkey.${domain}`,
      `v=DKIM1; k=${algorithm.toLowerCase()}; p=${p.toString('base64')}`,
    ],
  };
}

/** Records and secrets of some keys. */
export function publish(...keys: readonly TestKey[]) {
  return {
    records: Object.fromEntries(keys.map(({ record }) => record)),
    dkimKeys: Object.fromEntries(keys.map(({ signer, pem }) => [`${signer.domain}/${signer.selector}`, pem])),
  };
}
