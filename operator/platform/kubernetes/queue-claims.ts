import type { QueueObservation } from '../../compile/model.ts';
import type { CachedClaim, CachedPod, CachedWorkload } from './cached.ts';
import { mergePatch } from './merge-patch.ts';
import { annotations, corePath } from './names.ts';
import { isConflict, isNotFound } from './runtime/api-error.ts';
import type { ApiClient } from './runtime/client.ts';

/** A claim of an MTA's queue volume, and the pod that it belongs to. */
export interface QueueClaim {
  readonly claim: CachedClaim;
  /** The ordinal is beyond the replicas, and its pod is gone: nobody delivers what lies there. */
  readonly abandoned: boolean;
  /** How many mails lie there, as far as anybody said; undefined: it may be any number. */
  readonly queued: number | undefined;
}

/**
 * The claims of a StatefulSet. Kubernetes calls them `<template>-<pod>`, and the pod `<StatefulSet>-<ordinal>`.
 *
 * @param claims of the namespace
 * @param pods of the namespace, those that end among them: as long as one is there, it may still hand its mail over
 * @param left what pods that are gone said at their end, by name
 */
export function queueClaims(
  workload: CachedWorkload,
  claims: readonly CachedClaim[],
  pods: readonly CachedPod[],
  left: ReadonlyMap<string, number>,
): QueueClaim[] {
  const alive = new Set(pods.map(({ name }) => name));
  return claims.flatMap((claim) => {
    const pod = podOf(claim, workload);
    if (pod === undefined) return [];
    const abandoned = pod.ordinal >= workload.replicas && !alive.has(pod.name);
    return [{ claim, abandoned, queued: abandoned ? (claim.queued ?? left.get(pod.name)) : undefined }];
  });
}

/** What the compiler hears of: abandoned claims that are not known to be empty. */
export function strandedQueues(claims: readonly QueueClaim[]): QueueObservation[] {
  return claims
    .filter(({ abandoned, queued }) => abandoned && queued !== 0)
    .map(({ claim, queued }) => ({ mta: claim.mta, claim: claim.name, queued }))
    .sort((one, other) => (one.claim < other.claim ? -1 : 1));
}

/**
 * Notes on claims what is known of their mail, for operators to come; takes the note away where a pod is at work again.
 *
 * @throws ApiError
 */
export async function noteQueues(
  client: ApiClient,
  namespace: string,
  claims: readonly QueueClaim[],
  signal: AbortSignal,
): Promise<void> {
  for (const { claim, queued } of claims) {
    if (claim.queued === queued) continue;
    const value = queued === undefined ? null : String(queued);
    const body = {
      metadata: { resourceVersion: claim.resourceVersion, annotations: { [annotations.queued]: value } },
    };
    try {
      await mergePatch(client, corePath(namespace, 'persistentvolumeclaims', claim.name), body, signal);
    } catch (error) {
      // Gone, or changed since: the next event tells.
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }
}

function podOf(claim: CachedClaim, workload: CachedWorkload): { name: string; ordinal: number } | undefined {
  if (claim.mta !== workload.mta) return undefined;
  const [, ordinal] = /-(\d+)$/.exec(claim.name) ?? [];
  const name = `${workload.name}-${ordinal}`;
  return claim.name.endsWith(`-${name}`) ? { name, ordinal: Number(ordinal) } : undefined;
}
