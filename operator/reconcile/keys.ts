import { generateKeyPair, randomBytes } from 'node:crypto';
import { publicKeyOf } from '../compile/dkim-public-key.ts';
import { keyAnnotations, managedByLabel, privateKeyField, useLabel } from '../compile/dkim-secret.ts';
import { hopKeyField, hopKeyUse } from '../compile/hop-key.ts';
import type { Want } from '../compile/model.ts';

interface SecretMetadata {
  readonly namespace: string;
  readonly name: string;
  readonly use: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

type CreateKey = Extract<Want, { kind: 'createKey' }>;
/** A key that is to be made once and then kept. */
export type MakeKey = Extract<Want, { kind: 'createKey' | 'createHopKey' }>;

/** Makes the key that is wanted: a private key in PEM, or the random key of hop marks. Keep no copy of it. */
export async function generateKey(want: MakeKey): Promise<{ key: string }> {
  if (want.kind === 'createHopKey') return { key: randomBytes(32).toString('base64url') };
  return { key: (await generateDkimKey(want)).privateKeyPem };
}

/**
 * The Secret of a new key, to be created and never applied.
 *
 * @param key what {@link generateKey} made
 * @throws TypeError if that is no private key where one is wanted
 */
export function keySecret(namespace: string, want: MakeKey, key: string) {
  if (want.kind === 'createKey') return dkimKeySecret(namespace, want, key);
  return secretOf({ namespace, name: want.secretName, use: hopKeyUse }, hopKeyField, key);
}

/** @param metadata `use`: what the Secret says that it is for. */
function secretOf({ namespace, name, use, annotations }: SecretMetadata, field: string, value: string) {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      namespace,
      labels: { [managedByLabel.name]: managedByLabel.value, [useLabel.name]: use },
      ...(annotations && { annotations }),
    },
    type: 'Opaque',
    data: { [field]: Buffer.from(value).toString('base64') },
  };
}

/**
 * Makes a private key on the thread pool: an RSA key of 2048 bits takes 50-500 ms, and the event loop serves all tenants.
 *
 * @param bits length of an RSA key; of no meaning for Ed25519
 * @returns PKCS#8 PEM, unencrypted: handle it as `createKeyOnce` does and keep no copy
 */
export function generateDkimKey({
  algorithm,
  bits,
}: Pick<CreateKey, 'algorithm' | 'bits'>): Promise<{ privateKeyPem: string }> {
  const privateKeyEncoding = { type: 'pkcs8', format: 'pem' } as const;
  const publicKeyEncoding = { type: 'spki', format: 'pem' } as const;
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, _publicKey: string, privateKeyPem: string) =>
      error === null ? resolve({ privateKeyPem }) : reject(error);
    if (algorithm === 'Ed25519') generateKeyPair('ed25519', { publicKeyEncoding, privateKeyEncoding }, done);
    else generateKeyPair('rsa', { modulusLength: bits, publicKeyEncoding, privateKeyEncoding }, done);
  });
}

/**
 * The Secret of a new key, to be created and never applied: it has no owner, so it outlives its DkimKey, and its annotations
 * bind it to domain and selector, by which it is adopted again.
 *
 * @param privateKeyPem what {@link generateDkimKey} made
 * @throws TypeError if that is no private key
 */
export function dkimKeySecret(namespace: string, want: CreateKey, privateKeyPem: string) {
  const publicKey = publicKeyOf(privateKeyPem);
  if (publicKey === undefined)
    throw new TypeError(`DkimKey ${want.dkimKey}: the new key is no RSA or Ed25519 private key`);
  const annotations = {
    [keyAnnotations.domain]: want.domain,
    [keyAnnotations.selector]: want.selector,
    [keyAnnotations.publicKeySHA256]: publicKey.publicKeySHA256,
  };
  const metadata = { namespace, name: want.secretName, use: useLabel.value, annotations };
  return secretOf(metadata, privateKeyField, privateKeyPem);
}
