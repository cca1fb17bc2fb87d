import { conditionTypes, isConditionType } from '../operator/api/index.ts';
import type { FolderProblem } from '../operator/platform/standalone/problem.ts';
import { folderProblemText } from '../operator/platform/standalone/problem.ts';
import { formatTable } from './output.ts';

/** An object and its status, as `postern status` shows them. */
export interface StatusRow {
  readonly kind: string;
  readonly name: string;
  readonly status: { readonly conditions?: readonly ShownCondition[] | undefined };
}

interface ShownCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** The conditions that Ready is made of, in the order in which they are looked at. */
const essential = ['Accepted', 'ResolvedRefs', 'Programmed'] as const;

/** One line per object: whether it acts, and if not, why. */
export function statusTable(rows: readonly StatusRow[]): string {
  if (rows.length === 0) return 'no objects';
  const cells = rows.map(({ kind, name, status }) => {
    const conditions = new Map((status.conditions ?? []).map((condition) => [condition.type, condition]));
    const ready = conditions.get('Ready');
    const isReady = ready?.status === 'True';
    const states = essential.map((type) => conditions.get(type)?.status ?? '-');
    const reason = isReady ? '' : (ready?.reason ?? 'Pending');
    return [
      kind,
      name,
      ready?.status ?? '-',
      ...states,
      reason,
      isReady ? '' : firstLine(ready?.message ?? ''),
    ];
  });
  return formatTable(['KIND', 'NAME', 'READY', 'ACCEPTED', 'REFS', 'PROGRAMMED', 'REASON', 'MESSAGE'], cells);
}

/** The table, and below it what of the folder cannot be used. */
export function statusScreen(rows: readonly StatusRow[], problems: readonly FolderProblem[]): string {
  const lines = problems.map(folderProblemText);
  return lines.length === 0 ? statusTable(rows) : [statusTable(rows), '', ...lines].join('\n');
}

export function isReady({ status }: StatusRow): boolean {
  return status.conditions?.some(({ type, status: state }) => type === 'Ready' && state === 'True') === true;
}

/** Conditions that only a running MTA makes True. */
const needsMta = new Set(['Programmed', 'Ready']);

/** The status of an object that no MTA serves now, whatever was true when one did. */
export function notRunning({ kind, name, status }: StatusRow): StatusRow {
  const conditions = status.conditions?.map((condition) =>
    needsMta.has(condition.type) && condition.status === 'True'
      ? { ...condition, status: 'Unknown', reason: 'NoReadyPods', message: 'No MTA runs for this folder' }
      : condition,
  );
  return { kind, name, status: { ...status, conditions } };
}

/** Told by the table itself, or a state that is as it should be either way. */
const untold: ReadonlySet<string> = new Set([...essential, 'Ready', 'InUse', 'Signing']);

/**
 * One line per condition that is not part of Ready and wants somebody's eye: a warning, a Route that cannot be reached, a record that
 * is missing. Undefined if there is none.
 */
export function adviceTable(rows: readonly StatusRow[]): string | undefined {
  const cells = rows.flatMap(({ kind, name, status }) =>
    (status.conditions ?? [])
      .filter(wantsAnEye)
      .map(({ type, status: state, reason, message }) => [
        kind,
        name,
        type,
        state,
        reason,
        firstLine(message),
      ]),
  );
  return cells.length === 0
    ? undefined
    : formatTable(['KIND', 'NAME', 'CONDITION', 'STATUS', 'REASON', 'MESSAGE'], cells);
}

function wantsAnEye({ type, status, reason }: ShownCondition): boolean {
  if (untold.has(type) || reason === 'Pending' || !isConditionType(type)) return false;
  return conditionTypes[type].warning ? status === 'True' : status !== 'True';
}

const longest = 100;

function firstLine(text: string): string {
  const [line = ''] = text.split('\n');
  return line.length > longest ? `${line.slice(0, longest - 3)}...` : line;
}
