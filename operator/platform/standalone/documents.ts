import {
  type Document,
  isCollection,
  isMap,
  isPair,
  isScalar,
  LineCounter,
  type Node,
  parseAllDocuments,
  type Tags,
} from 'yaml';
import { type FoldedText, foldLists, unfoldLists } from './long-lists.ts';

/** A place in a file of the folder. Lines and columns count from 1. */
export interface Position {
  /** Path below the folder, `/` between its parts. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export type FieldPath = readonly (string | number)[];

/** One YAML document (or one item of a `kind: List`). */
export interface FolderDocument {
  readonly value: unknown;
  /** Where the field stands, or the nearest thing around it that is written down. */
  readonly locate: (path: FieldPath) => Position;
}

/** A document that is no YAML, or part of it. `value` is what could be read of it, for finding out which object it was. */
interface BrokenDocument {
  readonly position: Position;
  readonly message: string;
  readonly value: unknown;
}

export interface FileDocuments {
  readonly documents: readonly FolderDocument[];
  readonly broken: readonly BrokenDocument[];
}

/**
 * Reads the documents of one file as `kubectl apply` reads them: YAML 1.1 booleans (an unquoted `NO` is false there, so it must be
 * refused here too), but times and colon-separated numbers stay text. JSON is read by the same rules.
 *
 * @param file name for positions, relative to the folder.
 */
export function parseDocuments(file: string, text: string): FileDocuments {
  const folded = foldLists(text);
  return (folded === undefined ? undefined : parseFolded(file, text, folded)) ?? parseWhole(file, text);
}

/** The same from a text whose long lists are folded; the whole is parsed only if a place in it is asked for. */
function parseFolded(file: string, text: string, folded: FoldedText): FileDocuments | undefined {
  const { documents, broken } = parseWhole(file, folded.text);
  const values = documents.map(({ value }) => value);
  const unfolded = broken.length > 0 ? undefined : unfoldLists(values, folded.runs);
  if (unfolded === undefined) return undefined;
  let whole: FileDocuments | undefined;
  const locate = (index: number, path: FieldPath): Position => {
    whole ??= parseWhole(file, text);
    return whole.documents[index]?.locate(path) ?? { file, line: 1, column: 1 };
  };
  return {
    documents: unfolded.map((value, index) => ({ value, locate: (path) => locate(index, path) })),
    broken,
  };
}

function parseWhole(file: string, text: string): FileDocuments {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, {
    version: '1.1',
    schema: 'yaml-1.1',
    customTags: kubernetesTags,
    lineCounter: lines,
    prettyErrors: false,
  });
  const documents: FolderDocument[] = [];
  const broken: BrokenDocument[] = [];
  for (const document of Array.isArray(parsed) ? parsed : []) {
    const error = document.errors[0];
    const at = (offset: number): Position => {
      const { line, col } = lines.linePos(offset);
      return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
    };
    const value = toPlain(document);
    if (error !== undefined)
      broken.push({ position: at(error.pos[0]), message: error.message, value: value.read });
    else if (value.problem !== undefined)
      broken.push({ position: at(0), message: value.problem, value: undefined });
    else documents.push(...expandList(document, value.read, at));
  }
  return { documents, broken };
}

const droppedTags = new Set(
  ['timestamp', 'binary', 'omap', 'set', 'pairs'].map((name) => `tag:yaml.org,2002:${name}`),
);

function kubernetesTags(tags: Tags): Tags {
  return tags.filter((tag) => {
    if (typeof tag === 'string') return true;
    return !droppedTags.has(tag.tag) && !('format' in tag && tag.format === 'TIME');
  });
}

function toPlain(document: Document.Parsed): { read: unknown; problem?: string } {
  try {
    return { read: document.toJS({ maxAliasCount: 100 }) };
  } catch (error) {
    return { read: undefined, problem: error instanceof Error ? error.message : String(error) };
  }
}

/** `kubectl get -o yaml` writes several objects as one List. */
function expandList(
  document: Document.Parsed,
  value: unknown,
  at: (offset: number) => Position,
): readonly FolderDocument[] {
  if (value === null || value === undefined) return [];
  const whole: FolderDocument = { value, locate: (path) => at(offsetOf(document, path)) };
  if (!isRecord(value) || value['kind'] !== 'List' || !Array.isArray(value['items'])) return [whole];
  return value['items'].map((item: unknown, index) => ({
    value: item,
    locate: (path) => at(offsetOf(document, ['items', index, ...path])),
  }));
}

/** Offset of the deepest written part of the path: of the value, or of its key when the value is a collection on later lines. */
function offsetOf(document: Document.Parsed, path: FieldPath): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const step of path) {
    if (!isCollection(node)) break;
    const pair = isMap(node)
      ? node.items.find((item) => isPair(item) && keyText(item.key) === String(step))
      : undefined;
    const child: unknown = pair === undefined ? node.get(step, true) : pair.value;
    const here = isScalar(child) ? startOf(child) : (startOf(pair?.key) ?? startOf(child));
    if (here === undefined && pair === undefined) break;
    offset = here ?? startOf(pair?.key) ?? offset;
    node = child;
  }
  return offset;
}

function keyText(key: unknown): string {
  return isScalar(key) ? String(key.value) : '';
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'range' in value;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
