import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import type { DkimSigner } from '../../bundle/domain-policy.ts';
import type { SecretBundle } from '../../bundle/policy-bundle.ts';
import type { SigningKey } from './signature.ts';

/**
 * Private keys, parsed once each. A key that has been seen stays for as long as the policy names its public half: if its
 * Secret is lost, signing goes on (X9).
 */
export class KeyRing {
  private readonly keys = new Map<string, KeyObject>();

  /**
   * @returns the key of every signer, or the names (`selector._domainkey.domain`) of those that this process does not hold.
   */
  find(
    signers: readonly DkimSigner[],
    secrets: Pick<SecretBundle, 'dkimKeys'>,
  ): { readonly keys: readonly SigningKey[]; readonly missing: readonly string[] } {
    const keys: SigningKey[] = [];
    const missing: string[] = [];
    for (const signer of signers) {
      const key = this.keys.get(signer.publicKeySHA256) ?? this.parse(signer, secrets);
      if (key === undefined) missing.push(`${signer.selector}._domainkey.${signer.domain}`);
      else keys.push({ signer, key });
    }
    return { keys, missing };
  }

  /**
   * @param choices signers in order of preference.
   * @returns the keys of the first choice of which at least one is here, and all names that were missing on the way.
   */
  findFirst(
    choices: readonly (readonly DkimSigner[])[],
    secrets: Pick<SecretBundle, 'dkimKeys'>,
  ): { readonly keys: readonly SigningKey[]; readonly missing: readonly string[] } {
    const missing: string[] = [];
    for (const signers of choices) {
      const found = this.find(signers, secrets);
      missing.push(...found.missing);
      if (found.keys.length > 0) return { keys: found.keys, missing };
    }
    return { keys: [], missing: [...new Set(missing)] };
  }

  /**
   * Takes the keys of a new policy, and lets go of those that nothing names any more.
   * @param signers all signers of all domains.
   */
  load(signers: readonly DkimSigner[], secrets: Pick<SecretBundle, 'dkimKeys'>): void {
    const named = new Set(signers.map(({ publicKeySHA256 }) => publicKeySHA256));
    for (const hash of this.keys.keys()) if (!named.has(hash)) this.keys.delete(hash);
    for (const signer of signers) if (!this.keys.has(signer.publicKeySHA256)) this.parse(signer, secrets);
  }

  /** @returns undefined unless the private key is there, can be read and belongs to the published one. */
  private parse(
    { domain, selector, publicKeySHA256 }: DkimSigner,
    { dkimKeys }: Pick<SecretBundle, 'dkimKeys'>,
  ): KeyObject | undefined {
    const unit = `${domain}/${selector}`;
    const pem = Object.hasOwn(dkimKeys, unit) ? dkimKeys[unit] : undefined;
    if (pem === undefined) return undefined;
    const key = readKey(pem);
    if (key === undefined || hashOf(key) !== publicKeySHA256) return undefined;
    this.keys.set(publicKeySHA256, key);
    return key;
  }
}

/** No message of the parser is passed on: it could quote the key. */
function readKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

function hashOf(key: KeyObject): string {
  return createHash('sha256')
    .update(createPublicKey(key).export({ type: 'spki', format: 'der' }))
    .digest('hex');
}
