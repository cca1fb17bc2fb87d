import type { Condition, ObjectStatus } from '../../api/index.ts';
import { formatTime } from '../../compile/conditions.ts';
import type { StatusRecord } from '../../compile/model.ts';
import { type FolderProblem, problemDetail } from './problem.ts';
import { keyOf } from './store.ts';

/**
 * The statuses as they are shown: an object whose document in the folder cannot be used says so, though its last good version goes
 * on acting. An API server would have refused the edit; a folder cannot, so the status tells what the refusal would have told.
 *
 * @param problems by `Kind/name`.
 * @param previous the statuses shown last, so that a condition keeps its time while it stays as it is.
 * @param now milliseconds since the epoch.
 */
export function overlayProblems(
  statuses: readonly StatusRecord[],
  problems: ReadonlyMap<string, readonly FolderProblem[]>,
  previous: ReadonlyMap<string, ShownStatus>,
  now: number,
): ReadonlyMap<string, ShownStatus> {
  const shown = new Map<string, ShownStatus>();
  for (const record of statuses) {
    const key = keyOf(record);
    const own = problems.get(key);
    shown.set(
      key,
      own === undefined
        ? record
        : { ...record, status: refusedStatus(record.status, own, previous.get(key), now) },
    );
  }
  for (const [key, own] of problems) {
    if (shown.has(key)) continue;
    const [kind = '', name = ''] = key.split('/');
    shown.set(key, { kind, name, status: refusedStatus(undefined, own, previous.get(key), now) });
  }
  return shown;
}

/** A status as it is written into its file. */
export interface ShownStatus {
  readonly kind: string;
  readonly name: string;
  readonly status: ObjectStatus;
}

function refusedStatus(
  compiled: ObjectStatus | undefined,
  problems: readonly FolderProblem[],
  before: ShownStatus | undefined,
  now: number,
): ObjectStatus {
  const tail = compiled === undefined ? 'it does not act' : 'its last good version goes on acting';
  const [first] = problems;
  const place =
    first === undefined ? '' : `${first.position.file}:${first.position.line}:${first.position.column}: `;
  const message = `${place}${problems.map(problemDetail).join('; ')}; ${tail}`;
  const refused = (type: 'Accepted' | 'Ready'): Condition => {
    const earlier = before?.status.conditions?.find((condition) => condition.type === type);
    const lastTransitionTime = earlier?.status === 'False' ? earlier.lastTransitionTime : formatTime(now);
    return { type, status: 'False', reason: 'Invalid', message, lastTransitionTime };
  };
  const others = (compiled?.conditions ?? []).filter(({ type }) => type !== 'Accepted' && type !== 'Ready');
  return Object.assign({}, compiled, { conditions: [refused('Accepted'), ...others, refused('Ready')] });
}
