import { type BumpPlan, planBump } from './bump-plan.ts';
import type { CachedPod, CachedWorkload } from './cached.ts';
import { mergePatch } from './merge-patch.ts';
import { annotations, corePath, managerName, settingsName, statefulSetPath } from './names.ts';
import { hasLoaded, type ObservedPod } from './pod-observer.ts';
import { isNotFound } from './runtime/api-error.ts';
import { type ApiClient, patchTypes } from './runtime/client.ts';

/** What this process has done to tell the pods of one MTA about one bundle. */
export interface Announcement {
  readonly bundleHash: string;
  /** Milliseconds since the epoch of the write, or of our start if the files were there. */
  readonly writtenAt: number;
  /** Pod uid -> how often it was touched, and the value of the annotation that was written last. */
  readonly touched: Map<string, { readonly times: number; readonly value: string }>;
}

export interface AnnounceRequest {
  readonly client: ApiClient;
  readonly namespace: string;
  readonly pods: readonly ObservedPod[];
  readonly announcement: Announcement;
  readonly justWritten: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly signal: AbortSignal;
}

/**
 * Touches every pod that has to hear of the bundle now.
 *
 * @returns when to look again, milliseconds since the epoch; undefined: no touch is left to try
 */
export async function announce(request: AnnounceRequest): Promise<number | undefined> {
  const { pods, announcement, justWritten, now } = request;
  const dues: number[] = [];
  const alive = new Set(pods.map(({ pod }) => pod.uid));
  for (const uid of announcement.touched.keys()) if (!alive.has(uid)) announcement.touched.delete(uid);
  for (const observed of pods) {
    const { pod } = observed;
    // Kubelet mounts the newest files when it starts a pod; there is nothing to refresh before that.
    if (pod.terminating || pod.ip === undefined) continue;
    const before = announcement.touched.get(pod.uid);
    const plan: BumpPlan = planBump({
      annotation: before?.value ?? pod.bundle,
      bundleHash: announcement.bundleHash,
      loaded: hasLoaded(observed, announcement.bundleHash),
      justWritten,
      writtenAt: announcement.writtenAt,
      touches: before?.times ?? 0,
      now,
    });
    if (plan.value !== undefined) {
      await touch(request, pod, plan.value);
      announcement.touched.set(pod.uid, { times: (before?.times ?? 0) + 1, value: plan.value });
    }
    if (plan.nextAt !== undefined) dues.push(plan.nextAt);
  }
  return dues.length === 0 ? undefined : Math.min(...dues);
}

async function touch(
  { client, namespace, signal }: AnnounceRequest,
  pod: CachedPod,
  value: string,
): Promise<void> {
  // With the uid, a pod that was replaced under the same name meanwhile is a conflict and not a mistake.
  const body = { metadata: { uid: pod.uid, annotations: { [annotations.bundle]: value } } };
  try {
    await mergePatch(client, corePath(namespace, 'pods', pod.name), body, signal);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/**
 * Whether the StatefulSet has to be rolled: a ready pod says that it started with another cold configuration than the rendered
 * one, and the template does not ask for it yet. So an install, whose pods start with what is there, does not roll.
 */
export function needsRoll(workload: CachedWorkload, coldHash: string, pods: readonly ObservedPod[]): boolean {
  if (workload.configHash === coldHash) return false;
  return pods.some(
    ({ observation: { ready, state } }) => ready && state.ok && state.value.coldHash !== coldHash,
  );
}

/** Asks the StatefulSet controller for a rolling update, by two annotations of the pod template that are ours alone. */
export async function roll(
  client: ApiClient,
  namespace: string,
  workload: CachedWorkload,
  coldHash: string,
  signal: AbortSignal,
): Promise<void> {
  const marks = {
    [annotations.configHash]: coldHash,
    [annotations.rolledFor]: `configmap/${settingsName(workload.mta)}`,
  };
  const body = {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    // With the uid an apply never creates a StatefulSet that somebody has just deleted.
    metadata: { name: workload.name, namespace, uid: workload.uid },
    spec: { template: { metadata: { annotations: marks } } },
  };
  await client.request('PATCH', statefulSetPath(namespace, workload.name), {
    body,
    contentType: patchTypes.apply,
    query: { fieldManager: managerName, force: true },
    signal,
  });
}
