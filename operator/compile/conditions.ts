import { type Condition, type ConditionType, conditionTypes, type ReasonOf } from '../api/index.ts';

/** What the compiler says about one aspect of an object; times and generation are added by `mergeConditions`. */
export interface ConditionInput {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  /** For people; must be stable: the same facts give the same text, with no times or counters in it. */
  readonly message: string;
}

/** A condition whose reason belongs to its type. */
export function condition<T extends ConditionType>(
  type: T,
  status: ConditionInput['status'],
  reason: ReasonOf<T>,
  message = '',
): ConditionInput {
  return { type, status, reason, message };
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
 * @throws if a reason does not stand in the table of its type
 */
export function mergeConditions(
  previous: readonly Condition[] | undefined,
  next: readonly ConditionInput[],
  generation: number,
  nowMs: number,
): Condition[] {
  return next.map((input) => {
    const before = previous?.find((one) => one.type === input.type);
    const merged = {
      type: input.type,
      status: input.status,
      observedGeneration: generation,
      lastTransitionTime: before?.status === input.status ? before.lastTransitionTime : formatTime(nowMs),
      reason: input.reason,
      message: input.message.slice(0, maxMessageLength),
    };
    if (isKnown(merged)) return merged;
    throw new Error(
      `condition ${input.type} has no reason ${input.reason}: add it to operator/api/reasons.ts`,
    );
  });
}

/**
 * The condition Ready: True if all that count are True, else the first that is not, in the order given.
 *
 * @param parts Accepted, ResolvedRefs and Programmed (DkimKey: KeyGenerated before Programmed)
 */
export function readyFrom(parts: readonly ConditionInput[]): ConditionInput {
  const failing = parts.find(({ status }) => status !== 'True');
  if (failing === undefined) return condition('Ready', 'True', 'Ready');
  const reason = isReadyReason(failing.reason) ? failing.reason : 'Pending';
  return condition('Ready', failing.status, reason, failing.message);
}

/** RFC 3339 with whole seconds, as the API server writes times. @param ms milliseconds since the epoch */
export function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

function isReadyReason(reason: string): reason is ReasonOf<'Ready'> {
  return Object.hasOwn(conditionTypes.Ready.reasons, reason);
}

function isKnown(merged: { type: string; reason: string }): merged is Condition {
  const types: Readonly<Record<string, { readonly reasons: object }>> = conditionTypes;
  return Object.hasOwn(types, merged.type) && Object.hasOwn(types[merged.type]?.reasons ?? {}, merged.reason);
}
