import type { DkimKey } from '../api/index.ts';
import { type DkimPublicKey, publicKeyOf } from './dkim-public-key.ts';
import type { Secret, SecretRecord } from './model.ts';

/** Key of the Secret's data that holds the PEM, as in `kubernetes.io/tls` Secrets. */
export const privateKeyField = 'tls.key';

export const managedByLabel = { name: 'app.kubernetes.io/managed-by', value: 'postern' } as const;
/** A Secret is taken only if it says what for: otherwise any Secret of the namespace could be read through a DkimKey. */
export const useLabel = { name: 'postern.dev/use', value: 'dkim-key' } as const;
/**
 * What binds a key to its record. The Secret has no owner (a replaced DkimKey would take it along within a second), so it
 * is by these that an object made anew, or a restored Secret, is known to belong.
 */
export const keyAnnotations = {
  domain: 'postern.dev/dkim-domain',
  selector: 'postern.dev/dkim-selector',
  publicKeySHA256: 'postern.dev/public-key-sha256',
  verifiedTime: 'postern.dev/verified-time',
  /** RFC 3339: when it goes, since its DkimKey was deleted and said `secretRetention: Delete`. */
  deleteAfter: 'postern.dev/delete-after',
} as const;

/** On a DkimKey with `secretRetention: Delete`: its deletion waits until it is noted on the Secret. */
export const keyFinalizer = 'postern.dev/key-secret';

const maxSecretNameLength = 253;
const secretNamePrefix = 'postern-dkim-';

/** Bits of a brought RSA key when spec.keyLength is unset; longer ones do not fit the record. */
const broughtBits = { min: 1024, max: 4096 };
const defaultRsaBits = 2048;

/** A private key that may be used, with what is known of it. */
export interface UsableKey {
  readonly publicKey: DkimPublicKey;
  readonly pem: Secret<Uint8Array>;
  readonly revision: string;
  readonly secretName: string;
  /** Postern made it and may annotate it. */
  readonly ours: boolean;
  /** RFC 3339; that its record was verified, as noted on the Secret itself. */
  readonly rememberedTime?: string;
}

/** What the Secret of a key is good for. */
export type KeyState =
  | { readonly kind: 'usable'; readonly key: UsableKey }
  /** Nothing there, nothing lost: to be made now. */
  | { readonly kind: 'absent' }
  /** The brought Secret does not exist yet. */
  | { readonly kind: 'notFound'; readonly message: string }
  | { readonly kind: 'notAllowed'; readonly message: string }
  | { readonly kind: 'conflict'; readonly message: string }
  /** There was a key, and it is gone or broken. It is never replaced: DNS and signed mail have the old one. */
  | { readonly kind: 'lost'; readonly message: string }
  | { readonly kind: 'invalid'; readonly message: string };

/** Name of the Secret of a key: what spec says, else made from the object's name. */
export function secretNameOf(dkimKey: DkimKey): string {
  return dkimKey.spec.secretName ?? generatedNameOf(dkimKey);
}

/** Name of what Postern makes for a key: its Secret, its DNSEndpoint. */
export function generatedNameOf(dkimKey: DkimKey): string {
  // An object name so long that it must be cut could meet another's; then one of the two says SecretConflict.
  const name = `${secretNamePrefix}${dkimKey.metadata.name}`.slice(0, maxSecretNameLength);
  return name.replace(/[.-]+$/, '');
}

/** Bits of the key to make; ignored for Ed25519. */
export function wantedBits(dkimKey: DkimKey): number {
  return dkimKey.spec.algorithm === 'RSA' ? (dkimKey.spec.keyLength ?? defaultRsaBits) : 256;
}

/**
 * Judges the Secret of a key.
 *
 * @param domain the domain that the key signs for
 * @param secret the Secret of the name that {@link secretNameOf} gives, if there is one
 */
export function readKeySecret(dkimKey: DkimKey, domain: string, secret: SecretRecord | undefined): KeyState {
  const name = secretNameOf(dkimKey);
  const brought = dkimKey.spec.secretName !== undefined;
  if (secret === undefined) return absentSecret(dkimKey, name, brought);
  if (brought && secret.labels[useLabel.name] !== useLabel.value) {
    const message = `Secret ${name} (spec.secretName) needs the label ${useLabel.name}: ${useLabel.value} to be used as a DKIM key.`;
    return { kind: 'notAllowed', message };
  }
  if (!brought && !isMadeFor(secret, domain, dkimKey.spec.selector)) {
    const message = `Secret ${name} exists and was not made for ${dkimKey.spec.selector}._domainkey.${domain}: delete or rename it, or name another in spec.secretName.`;
    return { kind: 'conflict', message };
  }
  const pem = secret.data[privateKeyField];
  const publicKey = pem === undefined ? undefined : readPublicKey(pem);
  if (pem === undefined || publicKey === undefined) {
    return {
      kind: 'invalid',
      message: `Secret ${name}: ${privateKeyField} holds no RSA or Ed25519 private key in PEM.`,
    };
  }
  const problem = mismatchOf(dkimKey, publicKey, brought) ?? replacedKey(dkimKey, publicKey, secret, brought);
  if (problem !== undefined)
    return { kind: 'invalid', message: `Secret ${name}: ${privateKeyField} ${problem}` };
  const remembered = brought ? undefined : secret.annotations[keyAnnotations.verifiedTime];
  const rememberedTime =
    remembered === undefined || Number.isNaN(Date.parse(remembered)) ? {} : { rememberedTime: remembered };
  return {
    kind: 'usable',
    key: { publicKey, pem, revision: secret.revision, secretName: name, ours: !brought, ...rememberedTime },
  };
}

function absentSecret(dkimKey: DkimKey, name: string, brought: boolean): KeyState {
  if (dkimKey.status?.publicKeySHA256 !== undefined) {
    const message = `Secret ${name} with the private key is gone: restore it, or delete this object and create one with another selector. No new key is made for a record that may be published.`;
    return { kind: 'lost', message };
  }
  if (!brought) return { kind: 'absent' };
  const message = `Secret ${name} (spec.secretName) does not exist: create it with a PEM private key under ${privateKeyField} and the label ${useLabel.name}: ${useLabel.value}.`;
  return { kind: 'notFound', message };
}

/** Whether Postern made the Secret, for some DKIM key. */
export function isMadeKey({ labels }: Pick<SecretRecord, 'labels'>): boolean {
  return labels[managedByLabel.name] === managedByLabel.value && labels[useLabel.name] === useLabel.value;
}

/** Whether Postern made the Secret for this very record. */
export function isMadeFor(secret: SecretRecord, domain: string, selector: string): boolean {
  return (
    isMadeKey(secret) &&
    secret.annotations[keyAnnotations.domain] === domain &&
    secret.annotations[keyAnnotations.selector]?.toLowerCase() === selector.toLowerCase()
  );
}

function mismatchOf(dkimKey: DkimKey, key: DkimPublicKey, brought: boolean): string | undefined {
  const { algorithm, keyLength } = dkimKey.spec;
  if (key.algorithm !== algorithm)
    return `holds a key of ${key.algorithm}, spec.algorithm says ${algorithm}.`;
  if (algorithm === 'Ed25519') return undefined;
  if (brought && keyLength === undefined) {
    if (key.bits >= broughtBits.min && key.bits <= broughtBits.max) return undefined;
    return `holds an RSA key of ${key.bits} bits, allowed are ${broughtBits.min} to ${broughtBits.max}.`;
  }
  const wanted = wantedBits(dkimKey);
  return key.bits === wanted
    ? undefined
    : `holds an RSA key of ${key.bits} bits, spec.keyLength says ${wanted}.`;
}

/** A well-formed key may still be another than the one in DNS. */
function replacedKey(
  dkimKey: DkimKey,
  key: DkimPublicKey,
  secret: SecretRecord,
  brought: boolean,
): string | undefined {
  const made = brought ? undefined : secret.annotations[keyAnnotations.publicKeySHA256];
  const published = dkimKey.status?.verifiedTime === undefined ? undefined : dkimKey.status.publicKeySHA256;
  if ([made, published].every((expected) => expected === undefined || expected === key.publicKeySHA256))
    return undefined;
  return 'holds another key than the one that was published: restore that one, or create a second DkimKey for the new one.';
}

/** Reading a key costs 0.1-0.3 ms and happens at each compilation; the bytes of a snapshot never change. */
const publicKeys = new WeakMap<Secret<Uint8Array>, DkimPublicKey | { readonly algorithm: undefined }>();

function readPublicKey(pem: Secret<Uint8Array>): DkimPublicKey | undefined {
  const known = publicKeys.get(pem);
  if (known !== undefined) return known.algorithm === undefined ? undefined : known;
  const publicKey = publicKeyOf(new TextDecoder().decode(pem.reveal()));
  publicKeys.set(pem, publicKey ?? { algorithm: undefined });
  return publicKey;
}
