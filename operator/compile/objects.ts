import type { SourceRef } from '../../bundle/source.ts';
import type {
  DkimKey,
  InboundGateway,
  IpAccessList,
  KindName,
  MailDomain,
  ObjectByKind,
  PosternObject,
  Route,
  TlsPolicy,
} from '../api/index.ts';
import { byAge } from './conflicts.ts';
import type { Snapshot } from './model.ts';

/** The objects that are compiled, each kind oldest first. */
export interface Objects {
  readonly mailDomains: readonly MailDomain[];
  readonly routes: readonly Route[];
  readonly accessLists: readonly IpAccessList[];
  readonly gateways: readonly InboundGateway[];
  readonly tlsPolicies: readonly TlsPolicy[];
  readonly dkimKeys: readonly DkimKey[];
}

/** An object as it stands in the API, which its status speaks about, and as it is compiled. */
export interface Entry {
  readonly written: PosternObject;
  /** Undefined for an object that was paused before it ever acted. */
  readonly compiled: PosternObject | undefined;
}

const pausedAnnotation = 'postern.dev/paused';

/** Whether the object is to stay as it was compiled last (G16). */
export function isPaused(object: PosternObject): boolean {
  return object.metadata.annotations?.[pausedAnnotation] === 'true';
}

/** The namespace's own objects, each (kind, name) once, oldest first. */
export function entriesOf(snapshot: Snapshot): Entry[] {
  const seen = new Set<string>();
  const own = snapshot.objects.filter((object) => {
    const key = keyOf(object);
    const first = object.metadata.namespace === snapshot.namespace && !seen.has(key);
    seen.add(key);
    return first;
  });
  return own.sort(byAge).map((written) => ({ written, compiled: compiledForm(written, snapshot.held) }));
}

/** Sorts the objects that are compiled by kind. */
export function objectsOf(entries: readonly Entry[]): Objects {
  const compiled = entries.flatMap((entry) => entry.compiled ?? []);
  const of = <K extends KindName>(kind: K) =>
    compiled.filter((object): object is Extract<ObjectByKind[K], { kind: K }> => object.kind === kind);
  return {
    mailDomains: of('MailDomain'),
    routes: of('Route'),
    accessLists: of('IpAccessList'),
    gateways: of('InboundGateway'),
    tlsPolicies: of('TlsPolicy'),
    dkimKeys: of('DkimKey'),
  };
}

/** Where a part of the bundle comes from. A folder knows no generations: there it is 1. */
export function sourceOf(object: PosternObject): SourceRef {
  return { kind: object.kind, name: object.metadata.name, generation: object.metadata.generation ?? 1 };
}

/** `<kind>/<name>`: what identifies an object in its namespace, and in `Snapshot.held`. */
export function keyOf(object: PosternObject): string {
  return `${object.kind}/${object.metadata.name}`;
}

/**
 * A paused object is compiled as it was before, but with the status that it has now: what is known of a DKIM record, say, goes on
 * being known. If nobody remembers how it was (on Kubernetes, after a restart of the operator), the best that is known is its spec
 * as it stands at that moment, unless it never acted at all: then it goes on not acting.
 */
function compiledForm(written: PosternObject, held: Snapshot['held']): PosternObject | undefined {
  if (!isPaused(written)) return written;
  const before = held !== undefined && Object.hasOwn(held, keyOf(written)) ? held[keyOf(written)] : undefined;
  if (before !== undefined && isSameObject(before, written)) return withStatus(before, written.status);
  const programmed = written.status?.conditions?.find(({ type }) => type === 'Programmed');
  return programmed === undefined || programmed.status === 'Unknown' ? undefined : written;
}

/** One that was deleted and made anew under its old name is another object. */
function isSameObject(before: PosternObject, written: PosternObject): boolean {
  return (
    before.kind === written.kind &&
    before.metadata.uid === written.metadata.uid &&
    before.metadata.creationTimestamp === written.metadata.creationTimestamp
  );
}

function withStatus(object: PosternObject, status: PosternObject['status']): PosternObject {
  if (object.status === status) return object;
  const { status: _, ...rest } = object;
  return status === undefined ? { ...rest } : Object.assign({}, rest, { status });
}
