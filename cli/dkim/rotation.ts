import type { DkimKey } from '../../operator/api/index.ts';

/** A manifest to apply. */
interface Manifest {
  readonly apiVersion: 'postern.dev/v1alpha1';
  readonly kind: 'DkimKey';
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: DkimKey['spec'];
}

/** The next step of a rotation. Each is one `kubectl apply`, or a wait. */
export type RotationStep =
  /** There is no second key yet. */
  | { readonly step: 'create'; readonly manifests: readonly Manifest[] }
  /** The second key waits for its record. */
  | {
      readonly step: 'publish';
      readonly key: string;
      readonly reason: string;
      readonly record?: { readonly name: string; readonly value: string };
    }
  /** The record of the second key was verified: it signs from now on, and the first one stops. */
  | { readonly step: 'switch'; readonly key: string; readonly manifests: readonly Manifest[] }
  /** The first key signs no more; mail that it has signed is still on its way. */
  | { readonly step: 'keepRecord'; readonly key: string; readonly record: string; readonly until: string }
  /** The record and the object of the first key may go. */
  | { readonly step: 'remove'; readonly key: string; readonly record: string };

export interface Rotation {
  /** The key that is to be replaced. */
  readonly old: DkimKey;
  /** All DkimKeys of the namespace. */
  readonly keys: readonly DkimKey[];
  readonly namespace?: string;
  /** Of a second key, where one has to be made. */
  readonly name?: string;
  readonly selector?: string;
  /** Seconds that mail may wait in the queue. */
  readonly queueLifetimeSeconds: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Receivers check signatures a while after delivery as well. */
const graceSeconds = 2 * 86_400;

/**
 * What a rotation has to do next (K14): a second key in Standby, its record published, the two swapped, and the old record left
 * in place for as long as mail that it has signed can still be on its way.
 * @throws Error if the key is Standby itself, or if the name or the selector of the second key is taken.
 */
export function nextStep(rotation: Rotation): RotationStep {
  const { old } = rotation;
  if (old.spec.state === 'Retired') return afterwards(rotation);
  if (old.spec.state === 'Standby')
    throw new Error(
      `DkimKey/${old.metadata.name} is Standby and replaces nothing: name the key that is Active`,
    );
  const successor = successorOf(rotation);
  if (successor === undefined) return { step: 'create', manifests: [secondKey(rotation)] };
  const { name } = successor.metadata;
  const published = conditionOf(successor, 'Published');
  if (published?.status !== 'True') {
    const record = successor.status?.dnsRecord;
    return {
      step: 'publish',
      key: name,
      reason: published?.reason ?? 'Pending',
      ...(record && { record: { name: record.name, value: record.value } }),
    };
  }
  // The new key first: as long as the old one is Active too, it is the older one that signs, so no mail goes out unsigned.
  const manifests = [
    manifestOf(rotation, name, { ...successor.spec, state: 'Active' }),
    manifestOf(rotation, old.metadata.name, { ...old.spec, state: 'Retired' }),
  ];
  return { step: 'switch', key: name, manifests };
}

function afterwards({ old, queueLifetimeSeconds, now }: Rotation): RotationStep {
  const { name } = old.metadata;
  const record = old.status?.dnsRecord?.name ?? `${old.spec.selector}._domainkey`;
  const stopped = conditionOf(old, 'Signing');
  const since = stopped?.reason === 'Retired' ? Date.parse(stopped.lastTransitionTime) : now;
  const until = since + (queueLifetimeSeconds + graceSeconds) * 1000;
  return until > now
    ? { step: 'keepRecord', key: name, record, until: new Date(until).toISOString() }
    : { step: 'remove', key: name, record };
}

/** The key that takes over: of the same domain and algorithm, not retired, and younger if it is Active already. */
function successorOf({ old, keys }: Rotation): DkimKey | undefined {
  return keys.find(
    ({ metadata, spec }) =>
      metadata.name !== old.metadata.name &&
      spec.domainRef.name === old.spec.domainRef.name &&
      spec.algorithm === old.spec.algorithm &&
      spec.state !== 'Retired',
  );
}

function secondKey(rotation: Rotation): Manifest {
  const { old, keys, now } = rotation;
  const day = new Date(now).toISOString().slice(0, 10).replaceAll('-', '');
  const name = rotation.name ?? `${old.metadata.name.replace(/-\d{8}$/, '')}-${day}`;
  const selector = rotation.selector ?? `${old.spec.selector.replace(/-\d{8}$/, '')}-${day}`;
  const taken = keys.find(
    ({ metadata, spec }) =>
      metadata.name === name ||
      (spec.domainRef.name === old.spec.domainRef.name &&
        spec.selector.toLowerCase() === selector.toLowerCase()),
  );
  if (taken !== undefined) {
    throw new Error(
      `DkimKey/${taken.metadata.name} has the name ${name} or the selector ${selector} already: choose others with --name and --selector`,
    );
  }
  // A brought Secret holds the old key; an answered request belongs to the old record.
  const { secretName: _secret, verification, ...kept } = old.spec;
  const { requestId: _request, ...how } = verification;
  return manifestOf(rotation, name, { ...kept, verification: how, selector, state: 'Standby' });
}

function manifestOf({ namespace }: Rotation, name: string, spec: DkimKey['spec']): Manifest {
  return {
    apiVersion: 'postern.dev/v1alpha1',
    kind: 'DkimKey',
    metadata: { name, ...(namespace !== undefined && { namespace }) },
    spec,
  };
}

function conditionOf({ status }: DkimKey, type: string) {
  return status?.conditions?.find((one) => one.type === type);
}
