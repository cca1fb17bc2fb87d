import type { ObjectMeta } from './resource.ts';

/**
 * `true` if a change is more than a status write: our own must not wake us again. For kinds that count generations:
 * the spec, labels, annotations, finalizers or the deletion mark differ. Other kinds (Secrets, ConfigMaps): anything.
 */
export function isMoreThanStatus(before: ObjectMeta, after: ObjectMeta): boolean {
  if (after.generation === undefined) return before.resourceVersion !== after.resourceVersion;
  const relevant = ({ uid, generation, labels, annotations, finalizers, deletionTimestamp }: ObjectMeta) =>
    JSON.stringify([uid, generation, deletionTimestamp, finalizers, sorted(labels), sorted(annotations)]);
  return relevant(before) !== relevant(after);
}

function sorted(map: Readonly<Record<string, string>> = {}): [string, string][] {
  return Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
}
