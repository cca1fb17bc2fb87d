import type { DkimKey } from '../api/index.ts';
import type { ConditionInput } from './conditions.ts';
import type { DkimPublicKey } from './dkim-public-key.ts';
import type { KeyState } from './dkim-secret.ts';
import type { Admission } from './dkim-slots.ts';

/** Fewer bits are worth a warning (K4); RFC 8301 section 3.2 asks signers for 2048. */
const strongRsaBits = 2048;

export function condition(
  type: string,
  status: ConditionInput['status'],
  reason: string,
  message: string,
): ConditionInput {
  return { type, status, reason, message };
}

/** @param state undefined while nothing is referenced */
export function resolvedRefs(state: KeyState | undefined): ConditionInput {
  switch (state?.kind) {
    case 'notFound':
    case 'lost':
      return condition('ResolvedRefs', 'False', 'SecretNotFound', state.message);
    case 'notAllowed':
      return condition('ResolvedRefs', 'False', 'SecretNotAllowed', state.message);
    default:
      return condition('ResolvedRefs', 'True', 'ResolvedRefs', '');
  }
}

/** @param refusal why the API server would not store the key that was made */
export function keyGenerated(state: KeyState, refusal: string | undefined): ConditionInput {
  switch (state.kind) {
    case 'usable':
      return condition(
        'KeyGenerated',
        'True',
        state.key.ours ? 'KeyGenerated' : 'Imported',
        `Secret ${state.key.secretName}.`,
      );
    case 'absent':
      if (refusal !== undefined) return condition('KeyGenerated', 'False', 'WriteRefused', refusal);
      return condition('KeyGenerated', 'Unknown', 'Pending', 'The key is being made.');
    case 'notFound':
    case 'notAllowed':
      return condition('KeyGenerated', 'False', 'Pending', state.message);
    case 'conflict':
      return condition('KeyGenerated', 'False', 'SecretConflict', state.message);
    case 'lost':
    case 'invalid':
      return condition('KeyGenerated', 'False', 'InvalidKey', state.message);
  }
}

/**
 * Whether pods sign with the key, as far as the key itself goes; whether they have it is asked afterwards (confirmSigning).
 *
 * @param admission undefined while the MailDomain is unknown
 * @param phase how far the key itself has come
 */
export function signing(
  dkimKey: DkimKey,
  admission: Admission | undefined,
  phase: 'keyless' | 'unpublished' | 'ready',
): ConditionInput {
  const no = (reason: string, message: string) => condition('Signing', 'False', reason, message);
  if (admission?.condition.status === 'False') {
    const { reason, message } = admission.condition;
    if (admission.superseded) return no('Superseded', message);
    return no(reason === 'Conflicted' ? 'Conflicted' : 'NotAccepted', message);
  }
  const { state } = dkimKey.spec;
  if (state === 'Standby') return no('Standby', 'spec.state is Standby.');
  if (state === 'Retired') return no('Retired', 'spec.state is Retired.');
  if (phase === 'keyless') return no('KeyNotGenerated', 'There is no usable private key.');
  if (phase === 'unpublished') return no('NotPublished', 'The record has not been verified yet.');
  return condition('Signing', 'True', 'Signing', '');
}

/** A warning or nothing. */
export function weakKey(key: DkimPublicKey): ConditionInput[] {
  if (key.algorithm !== 'RSA' || key.bits >= strongRsaBits) return [];
  return [
    condition(
      'WeakKey',
      'True',
      'WeakKey',
      `The RSA key has ${key.bits} bits; ${strongRsaBits} are recommended.`,
    ),
  ];
}
