import type { Problem } from '../../api/index.ts';
import type { ConfigMapRecord } from '../../compile/model.ts';
import { isRecord } from './documents.ts';

/** A Secret of the folder, before it has a revision. The bytes are wrapped as soon as it becomes a SecretRecord. */
export interface FolderSecret {
  readonly name: string;
  readonly type: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly bytes: ReadonlyMap<string, Uint8Array>;
}

type Result<T> =
  | { readonly ok: true; readonly record: T }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Reads a `v1` ConfigMap as the API server does: only text in `data`. */
export function readConfigMap(value: Record<string, unknown>, name: string): Result<ConfigMapRecord> {
  const problems: Problem[] = [];
  const data = readTexts(value['data'], 'data', problems);
  return problems.length > 0 ? { ok: false, problems } : { ok: true, record: { name, data } };
}

/** Reads a `v1` Secret: base64 in `data`, plain text in `stringData`, which wins. No problem ever carries a value. */
export function readSecret(value: Record<string, unknown>, name: string): Result<FolderSecret> {
  const problems: Problem[] = [];
  const bytes = new Map<string, Uint8Array>();
  for (const [key, text] of Object.entries(readTexts(value['data'], 'data', problems))) {
    if (/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(text)) bytes.set(key, Buffer.from(text, 'base64'));
    else problems.push({ path: `data.${key}`, message: 'is no base64: write plain text under stringData' });
  }
  for (const [key, text] of Object.entries(readTexts(value['stringData'], 'stringData', problems))) {
    bytes.set(key, Buffer.from(text, 'utf8'));
  }
  const metadata = isRecord(value['metadata']) ? value['metadata'] : {};
  const labels = readTexts(metadata['labels'], 'metadata.labels', problems);
  const annotations = readTexts(metadata['annotations'], 'metadata.annotations', problems);
  const type = typeof value['type'] === 'string' ? value['type'] : 'Opaque';
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, record: { name, type, labels, annotations, bytes } };
}

function readTexts(value: unknown, path: string, problems: Problem[]): Record<string, string> {
  const texts: Record<string, string> = Object.create(null);
  if (value === undefined || value === null) return texts;
  if (!isRecord(value)) {
    problems.push({ path, message: 'must be a mapping of names to text' });
    return texts;
  }
  for (const [key, text] of Object.entries(value)) {
    if (typeof text === 'string') texts[key] = text;
    else problems.push({ path: `${path}.${key}`, message: 'must be text: put it in quotes' });
  }
  return texts;
}
