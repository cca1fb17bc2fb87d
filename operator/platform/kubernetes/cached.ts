import * as z from 'zod';
import { canonicalJson } from '../../../bundle/canonical.ts';
import { type KindName, type PosternObject, parseObject, problemText } from '../../api/index.ts';
import { annotations, defaultStatePort, labels } from './names.ts';
import type { ObjectMeta, Resource } from './runtime/resource.ts';

/** What the informers keep of each object: the compact form that snapshots are made from. */

/** An object of one of the six kinds. */
export interface CachedObject {
  /** Without spec and status: for events and finalizers. */
  readonly identity: Resource;
  /** The object with defaults, or why an object that the API server took does not parse (stored under an older CRD). */
  readonly parsed:
    | { readonly ok: true; readonly object: PosternObject }
    | { readonly ok: false; readonly problem: string };
  /** Canonical JSON of the status as it is stored; it may hold fields that `parsed` leaves out. */
  readonly statusText: string;
}

/** Reads an object of a kind as the API server sent it. */
export function toCachedObject(kind: KindName, object: Resource): CachedObject {
  const result = parseObject(kind, object);
  const identity = { apiVersion: object.apiVersion, kind: object.kind, metadata: object.metadata };
  return {
    identity,
    parsed: result.ok ? result : { ok: false, problem: result.problems.map(problemText).join('; ') },
    statusText: statusText(object['status']),
  };
}

/** Canonical form of a status, in which equal ones have equal texts. */
export function statusText(status: unknown): string {
  if (status === undefined) return '';
  // Written down once: what was put together from pieces is kept in pieces, ten times as large, until somebody reads it.
  return Buffer.from(canonicalJson(JSON.parse(JSON.stringify(status)))).toString();
}

const statefulSet = z.looseObject({
  spec: z.looseObject({
    replicas: z.int().default(1),
    template: z.looseObject({
      metadata: z.looseObject({ annotations: z.record(z.string(), z.string()).default({}) }).prefault({}),
    }),
  }),
});

/** A StatefulSet with the label postern.dev/mta. */
export interface CachedWorkload {
  readonly identity: Resource;
  readonly name: string;
  readonly uid: string;
  readonly mta: string;
  /** Value of postern.dev/class; empty: the operator without a class. */
  readonly class: string;
  readonly replicas: number;
  /** Annotation postern.dev/config-hash of the pod template. */
  readonly configHash: string | undefined;
}

export function toCachedWorkload(object: Resource): CachedWorkload {
  const { spec } = statefulSet.parse(object);
  const { metadata } = object;
  return {
    identity: { apiVersion: object.apiVersion, kind: object.kind, metadata },
    name: metadata.name,
    uid: metadata.uid,
    mta: metadata.labels?.[labels.mta] ?? '',
    class: metadata.labels?.[labels.class] ?? '',
    replicas: spec.replicas,
    configHash: spec.template.metadata.annotations[annotations.configHash],
  };
}

const pod = z.looseObject({
  metadata: z.looseObject({
    ownerReferences: z
      .array(z.looseObject({ uid: z.string(), controller: z.boolean().default(false) }))
      .default([]),
  }),
  spec: z.looseObject({
    containers: z
      .array(
        z.looseObject({
          ports: z.array(z.looseObject({ name: z.string().default(''), containerPort: z.int() })).default([]),
        }),
      )
      .default([]),
  }),
  status: z
    .looseObject({
      podIP: z.string().optional(),
      conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).default([]),
      containerStatuses: z
        .array(
          z.looseObject({
            state: z
              .looseObject({
                terminated: z.looseObject({ message: z.string().default('') }).optional(),
              })
              .prefault({}),
          }),
        )
        .default([]),
    })
    .prefault({}),
});

/** What an MTA writes to its termination log. */
const lastWords = z.looseObject({ queued: z.int().min(0) });

/** A pod with the label postern.dev/mta. The label alone proves nothing: see `ownerUid`. */
export interface CachedPod {
  readonly name: string;
  readonly uid: string;
  readonly mta: string;
  /** Uid of the controlling owner. */
  readonly ownerUid: string | undefined;
  readonly ip: string | undefined;
  /** Port of GET /state. */
  readonly port: number;
  readonly ready: boolean;
  readonly terminating: boolean;
  /** How many mails its MTA left in the queue; undefined while it runs, or if it did not come to say so. */
  readonly left: number | undefined;
  /** Annotation postern.dev/bundle. */
  readonly bundle: string | undefined;
}

export function toCachedPod(object: Resource): CachedPod {
  const { metadata, spec, status } = pod.parse(object);
  const named = spec.containers
    .flatMap(({ ports }) => ports)
    .find(({ name }) => name === 'http')?.containerPort;
  const annotated = Number(object.metadata.annotations?.[annotations.statePort]);
  const isPort = Number.isInteger(annotated) && annotated > 0 && annotated < 65_536;
  return {
    name: object.metadata.name,
    uid: object.metadata.uid,
    mta: object.metadata.labels?.[labels.mta] ?? '',
    ownerUid: metadata.ownerReferences.find(({ controller }) => controller)?.uid,
    ip: status.podIP,
    port: isPort ? annotated : (named ?? defaultStatePort),
    ready: status.conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True'),
    terminating: object.metadata.deletionTimestamp !== undefined,
    left: status.containerStatuses
      .map(({ state }) => leftBy(state.terminated?.message))
      .find((left) => left !== undefined),
    bundle: object.metadata.annotations?.[annotations.bundle],
  };
}

function leftBy(message: string | undefined): number | undefined {
  try {
    return lastWords.parse(JSON.parse(message ?? '')).queued;
  } catch {
    return undefined;
  }
}

/** The claim of a queue volume. */
export interface CachedClaim {
  readonly name: string;
  readonly resourceVersion: string;
  readonly mta: string;
  /** Annotation postern.dev/queued, if it is a number. */
  readonly queued: number | undefined;
}

export function toCachedClaim({ metadata }: Resource): CachedClaim {
  const noted = metadata.annotations?.[annotations.queued] ?? '';
  return {
    name: metadata.name,
    resourceVersion: metadata.resourceVersion,
    mta: metadata.labels?.[labels.mta] ?? '',
    queued: /^\d{1,9}$/.test(noted) ? Number(noted) : undefined,
  };
}

/** Metadata of a ConfigMap or Secret. */
export function toCachedMetadata(object: Resource): ObjectMeta {
  return object.metadata;
}
