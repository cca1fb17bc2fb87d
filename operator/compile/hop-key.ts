import { managedByLabel, useLabel } from './dkim-secret.ts';
import type { MtaPolicy, SecretRecord, Snapshot, Want } from './model.ts';

/** Secret with the key of hop marks: one for all MTAs of the namespace, since mail may leave by one and come back by another. */
export const hopKeySecretName = 'postern-hop-key';
/** Key of its data: 32 random bytes in base64url. */
export const hopKeyField = 'key';
/** Without it the Secret is not taken: it would be whatever somebody happens to call so. */
export const hopKeyUse = 'hop-key';

/** The key of hop marks, or why there is none. */
export type HopKey =
  | { readonly kind: 'usable'; readonly key: string; readonly revision: string }
  | { readonly kind: 'absent' }
  /** A Secret of the name is there and holds no key of ours. It is never replaced. */
  | { readonly kind: 'unusable'; readonly message: string };

/** Finds the key of hop marks among the Secrets of the namespace. */
export function hopKeyOf({ secrets }: Pick<Snapshot, 'secrets'>): HopKey {
  const record = secrets.find(({ name }) => name === hopKeySecretName);
  if (record === undefined) return { kind: 'absent' };
  const key = keyIn(record);
  if (key !== undefined) return { kind: 'usable', key, revision: `${hopKeySecretName}@${record.revision}` };
  const message = `Secret ${hopKeySecretName} holds no key that Postern made: delete it, and a new one is made`;
  return { kind: 'unusable', message };
}

/** What is to be done about it: a key is made once, as soon as an MTA of the namespace serves a domain. */
export function hopKeyWants(key: HopKey, mtas: readonly MtaPolicy[]): Want[] {
  return key.kind === 'absent' && mtas.some(({ bundle }) => bundle.domains.length > 0)
    ? [{ kind: 'createHopKey', secretName: hopKeySecretName }]
    : [];
}

function keyIn({ labels, data }: SecretRecord): string | undefined {
  if (labels[managedByLabel.name] !== managedByLabel.value || labels[useLabel.name] !== hopKeyUse)
    return undefined;
  const bytes = data[hopKeyField]?.reveal();
  const text = bytes === undefined ? '' : new TextDecoder().decode(bytes);
  return /^[A-Za-z0-9_-]{43}$/.test(text) ? text : undefined;
}
