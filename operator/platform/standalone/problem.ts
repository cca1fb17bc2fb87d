import type { Position } from './documents.ts';

/** Something in the folder that cannot be used. It hides nothing but the document it stands in. */
export interface FolderProblem {
  readonly position: Position;
  /** The object that the document is about, if that much can be told. */
  readonly object?: { readonly kind: string; readonly name: string };
  /** `spec.addresses[3]`; empty for the document as a whole. */
  readonly field: string;
  /** What stands there; never set for Secrets. */
  readonly value?: string;
  readonly message: string;
}

/** One line, in the form that editors and terminals make clickable: `access.yaml:12:5: IpAccessList/partners: spec.addresses[3]: ...`. */
export function folderProblemText(problem: FolderProblem): string {
  const { position, object } = problem;
  const place = `${position.file}:${position.line}:${position.column}`;
  const subject = object === undefined ? [] : [`${object.kind}/${object.name}`];
  return [place, ...subject, problemDetail(problem)].join(': ');
}

/** Field, message and value, without the place. */
export function problemDetail({ field, message, value }: FolderProblem): string {
  const shown = value === undefined || message.includes(value) ? '' : ` (found ${value})`;
  return `${field === '' ? '' : `${field}: `}${message}${shown}`;
}

const maxShown = 80;

/** A value as an error names it: JSON, cut where it becomes long. */
export function showValue(value: unknown): string | undefined {
  const text = JSON.stringify(value);
  if (text === undefined) return undefined;
  return text.length > maxShown ? `${text.slice(0, maxShown)}...` : text;
}
