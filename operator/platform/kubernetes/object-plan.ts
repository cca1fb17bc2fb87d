import { labels, managerName } from './names.ts';
import { fileDigest, isOlderFile, type RenderedObject } from './rendered-objects.ts';

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
}

/** Metadata as the API server stores it, as far as it is read here. */
interface StoredMetadata {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ownerReferences: readonly OwnerReference[];
}

/** A ConfigMap or Secret in the API server, with the digests of its files instead of their bytes. */
export interface StoredObject {
  readonly metadata: StoredMetadata;
  /** File name -> SHA-256 of its bytes. */
  readonly digests: ReadonlyMap<string, string>;
  readonly immutable: boolean;
  /** Of the public index: the hash of its bundle, and the files that it names, its secret index among them. */
  readonly index?: { readonly hash: string; readonly files: ReadonlySet<string> };
  /** Of the object with the secret indexes: file of each -> files that it names. */
  readonly secretIndexes?: ReadonlyMap<string, ReadonlySet<string>>;
}

/** The MTA that a rendered object belongs to: its StatefulSet owns the object. */
export interface Owner {
  readonly mta: string;
  readonly name: string;
  readonly uid: string;
}

/**
 * What has to be done with one object. `keep` names the files of the stored object that stay beside the rendered ones, because a
 * pod may still start from the index that names them.
 */
export type ObjectPlan =
  | { readonly action: 'none' }
  | { readonly action: 'create' }
  | { readonly action: 'replace'; readonly keep: readonly string[] }
  | { readonly action: 'remove' }
  | { readonly action: 'refuse'; readonly reason: string };

/**
 * Compares one object as it is with what it has to be.
 *
 * @param stored undefined: there is none
 * @param mayKeep tells of a shard or secret index that is not rendered any more whether some pod may still need it
 */
export function planObject(
  rendered: RenderedObject,
  stored: StoredObject | undefined,
  owner: Owner,
  mayKeep: (file: string) => boolean,
): ObjectPlan {
  if (stored === undefined) return rendered.files.size === 0 ? { action: 'none' } : { action: 'create' };
  if (!isOurs(stored.metadata, owner)) {
    if (rendered.files.size === 0) return { action: 'none' };
    return {
      action: 'refuse',
      reason: `${rendered.kind} ${rendered.name} exists, and neither its label ${labels.managedBy}=${managerName} nor its owner says that Postern made it: rename or delete it`,
    };
  }
  const keep = [...stored.digests.keys()].filter((file) => isOlderFile(rendered, file) && mayKeep(file));
  if (rendered.files.size + keep.length === 0) return { action: 'remove' };
  const same =
    !stored.immutable && isMarked(stored.metadata, owner) && hasExactly(stored.digests, rendered.files, keep);
  return same ? { action: 'none' } : { action: 'replace', keep };
}

/** Labels of every rendered object. */
export function renderedLabels(mta: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': managerName,
    'app.kubernetes.io/component': 'mta-policy',
    [labels.managedBy]: managerName,
    [labels.mta]: mta,
  };
}

/** The owner references of a rendered object: the MTA's StatefulSet controls it, whoever else was named stays named. */
export function ownedBy(owner: Owner, others: readonly OwnerReference[]): OwnerReference[] {
  const kept = others.filter((reference) => reference.controller !== true && reference.uid !== owner.uid);
  return [
    ...kept,
    { apiVersion: 'apps/v1', kind: 'StatefulSet', name: owner.name, uid: owner.uid, controller: true },
  ];
}

/**
 * One mark is enough to know our own object again after somebody stripped the other: our labels with this MTA's name, or the
 * StatefulSet (by uid, which nobody guesses by accident) as its owner.
 */
function isOurs(metadata: StoredMetadata, owner: Owner): boolean {
  const labelled =
    metadata.labels[labels.managedBy] === managerName && metadata.labels[labels.mta] === owner.mta;
  return labelled || metadata.ownerReferences.some((reference) => reference.uid === owner.uid);
}

function isMarked(metadata: StoredMetadata, owner: Owner): boolean {
  const labelled = Object.entries(renderedLabels(owner.mta)).every(
    ([key, value]) => metadata.labels[key] === value,
  );
  return (
    labelled &&
    metadata.ownerReferences.some((reference) => reference.uid === owner.uid && reference.controller === true)
  );
}

function hasExactly(
  digests: ReadonlyMap<string, string>,
  files: ReadonlyMap<string, Uint8Array>,
  keep: readonly string[],
): boolean {
  if (digests.size !== files.size + keep.length) return false;
  return [...files].every(([name, bytes]) => digests.get(name) === fileDigest(bytes));
}
