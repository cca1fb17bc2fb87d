import type { PodObservation } from '../../compile/model.ts';
import { fetchPodState, podAddress } from '../../observe/pod-state.ts';
import type { CachedPod } from './cached.ts';

export interface ObserveRequest {
  readonly mta: string;
  readonly pods: readonly CachedPod[];
  /** Bearer token for GET /state; undefined: the Secret is not there yet. */
  readonly token: string | undefined;
  /** Bundle that the pods are to load; undefined: not known yet. */
  readonly bundleHash: string | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly signal: AbortSignal;
}

/** A pod as it was asked last. */
export interface ObservedPod {
  readonly pod: CachedPod;
  readonly observation: PodObservation;
}

/**
 * Asks the pods of one MTA at the same time, and remembers since when a ready one has been reporting something else than it should:
 * an operator that was restarted begins to count anew, so it never calls a roll-out late that it did not watch.
 */
export class PodObserver {
  private readonly behindSince = new Map<string, number>();

  async observe(request: ObserveRequest): Promise<ObservedPod[]> {
    const { mta, pods, bundleHash, now } = request;
    const observed = await Promise.all(
      pods.map(async (pod): Promise<ObservedPod> => {
        const state = await ask(pod, request);
        const observation = { name: pod.name, mta, ready: pod.ready, state };
        const isBehind =
          pod.ready && state.ok && bundleHash !== undefined && state.value.bundleHash !== bundleHash;
        if (!isBehind) {
          this.behindSince.delete(pod.uid);
          return { pod, observation };
        }
        const since = this.behindSince.get(pod.uid) ?? now;
        this.behindSince.set(pod.uid, since);
        return { pod, observation: { ...observation, behindSince: since } };
      }),
    );
    return observed;
  }

  /** Forgets pods that are gone. */
  retain(uids: ReadonlySet<string>): void {
    for (const uid of this.behindSince.keys()) if (!uids.has(uid)) this.behindSince.delete(uid);
  }
}

async function ask(pod: CachedPod, { token, signal }: ObserveRequest): Promise<PodObservation['state']> {
  if (pod.ip === undefined) return { ok: false, problem: 'the pod has no address yet' };
  if (token === undefined) return { ok: false, problem: 'the state token does not exist yet' };
  return fetchPodState(podAddress(pod.ip, pod.port), token, signal);
}

/** Whether the pod has loaded the bundle, without an error. */
export function hasLoaded({ observation }: ObservedPod, bundleHash: string): boolean {
  const { state } = observation;
  return state.ok && state.value.bundleHash === bundleHash && state.value.loadError === null;
}
