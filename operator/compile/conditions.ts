import type { Condition } from '../api/index.ts';

/** What the compiler says about one aspect of an object; times and generation are added by `mergeConditions`. */
export interface ConditionInput {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  /** For people; must be stable: the same facts give the same text, with no times or counters in it. */
  readonly message: string;
}

/** Longest message of a condition (metav1.Condition). */
const maxMessageLength = 32_768;

/**
 * The conditions of an object as they are to be written. A condition that is not in `next` is dropped.
 * `lastTransitionTime` stays as it was unless the status of that type differs (metav1.Condition), so nothing is written
 * while nothing changes.
 *
 * @param previous conditions of the stored object, or undefined for a new one
 * @param next what holds now, in the order in which it is to be shown
 * @param generation `metadata.generation` that was compiled
 * @param nowMs milliseconds since the epoch
 */
export function mergeConditions(
  previous: readonly Condition[] | undefined,
  next: readonly ConditionInput[],
  generation: number,
  nowMs: number,
): Condition[] {
  return next.map((input) => {
    const before = previous?.find((condition) => condition.type === input.type);
    const message = input.message.length > maxMessageLength ? input.message.slice(0, maxMessageLength) : input.message;
    return {
      type: input.type,
      status: input.status,
      observedGeneration: generation,
      lastTransitionTime: before?.status === input.status ? before.lastTransitionTime : formatTime(nowMs),
      reason: input.reason,
      message,
    };
  });
}

/** RFC 3339 with whole seconds, as the API server writes times. @param ms milliseconds since the epoch */
export function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');
}
