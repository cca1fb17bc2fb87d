import type { DkimKey } from '../api/index.ts';
import { isMadeFor, isMadeKey, keyAnnotations, keyFinalizer, secretNameOf } from './dkim-secret.ts';
import type { SecretRecord, Snapshot, Want } from './model.ts';
import type { Entry } from './objects.ts';

/**
 * Milliseconds for which the Secret of a deleted DkimKey stays. `kubectl replace --force` and a re-sync that replaces delete an
 * object and make it anew: that must not cost the key whose record is in DNS.
 */
const graceMs = 60_000;

/**
 * What becomes of keys whose DkimKey says `secretRetention: Delete` (K5). A deletion is noticed by a finalizer, noted on the
 * Secret, and done when the time noted there is over and no DkimKey names the Secret. A Secret without such a note is never
 * deleted, whoever misses its DkimKey: it may be restored before its object is, or serve an operator of another class.
 *
 * @param entries the namespace's objects; of a paused one counts what it says now: a pause holds policy, not the life of a key
 */
export function retentionWants(entries: readonly Entry[], { secrets, now }: Snapshot): Want[] {
  const byName = new Map(secrets.map((record) => [record.name, record]));
  const dkimKeys = entries.flatMap(({ written }) => (written.kind === 'DkimKey' ? [written] : []));
  const named = new Set(dkimKeys.filter((dkimKey) => !isDeleted(dkimKey)).map(secretNameOf));
  return [
    ...dkimKeys.flatMap((dkimKey) => finalizerWants(dkimKey, byName.get(secretNameOf(dkimKey)), now)),
    ...secrets.flatMap((record) => retiredWants(record, named.has(record.name), now)),
  ];
}

/** The time at which a key goes whose DkimKey is deleted now, as it is noted on the Secret. @param now milliseconds since the epoch */
export function retiredUntil(now: number): string {
  return new Date(now + graceMs).toISOString();
}

/** Whether the Secret goes with the object. One that was brought is its owner's. */
export function takesKeyAlong({ spec }: DkimKey): boolean {
  return spec.secretRetention === 'Delete' && spec.secretName === undefined;
}

function finalizerWants(dkimKey: DkimKey, record: SecretRecord | undefined, now: number): Want[] {
  const { name, finalizers = [] } = dkimKey.metadata;
  const has = finalizers.includes(keyFinalizer);
  const wanted = takesKeyAlong(dkimKey);
  const finalizer = (present: boolean): Want => ({ kind: 'keyFinalizer', dkimKey: name, present });
  if (!isDeleted(dkimKey)) return has === wanted ? [] : [finalizer(wanted)];
  if (!has) return [];
  // The object may go only when the note is there: it is all that is left of it.
  const isNoted = record === undefined || record.annotations[keyAnnotations.deleteAfter] !== undefined;
  if (!wanted || isNoted || !isTheKeyOf(dkimKey, record)) return [finalizer(false)];
  return [{ kind: 'retireKey', secretName: record.name, deleteAfter: retiredUntil(now) }];
}

function retiredWants(record: SecretRecord, isNamed: boolean, now: number): Want[] {
  const noted = record.annotations[keyAnnotations.deleteAfter];
  if (noted === undefined || !isMadeKey(record)) return [];
  const due = Date.parse(noted);
  if (isNamed || Number.isNaN(due)) return [{ kind: 'keepKey', secretName: record.name }];
  if (due > now) return [{ kind: 'recompile', due }];
  return [{ kind: 'deleteKey', secretName: record.name, revision: record.revision }];
}

/** In doubt it is not: a key that stays can be deleted by hand. */
function isTheKeyOf({ spec, status }: DkimKey, record: SecretRecord): boolean {
  return status?.domain !== undefined && isMadeFor(record, status.domain, spec.selector);
}

function isDeleted({ metadata }: DkimKey): boolean {
  return metadata.deletionTimestamp !== undefined;
}
