import { kindNames } from '../../../bundle/source.ts';
import {
  apiVersion,
  group,
  type KindName,
  type PosternObject,
  type Problem,
  parseObject,
} from '../../api/index.ts';
import type { ConfigMapRecord } from '../../compile/model.ts';
import { type FieldPath, type FolderDocument, isRecord } from './documents.ts';
import type { FolderFile } from './folder.ts';
import { type FolderProblem, showValue } from './problem.ts';
import { type FolderSecret, readConfigMap, readSecret } from './records.ts';

/** A good object of the folder. `written` is the document without status, frozen, the same as long as the file does not change. */
export interface FolderObject {
  readonly kind: KindName;
  readonly name: string;
  readonly written: Readonly<Record<string, unknown>>;
  readonly object: PosternObject;
  readonly file: string;
}

/** The documents of a folder, sorted by what they are. */
export interface FolderContents {
  readonly namespace: string;
  readonly objects: readonly FolderObject[];
  readonly secrets: readonly FolderSecret[];
  readonly configMaps: readonly ConfigMapRecord[];
  /** The document `mta.yaml`, as text for `parseMtaSettings`; undefined if there is none. */
  readonly settings?: { readonly value: unknown; readonly document: FolderDocument };
  readonly problems: readonly FolderProblem[];
  /** Files with a document that could not even be read: objects last seen there may still be meant. */
  readonly brokenFiles: ReadonlySet<string>;
  /** Documents that are none of ours: `kustomization.yaml`, a Deployment. */
  readonly ignored: readonly string[];
}

const settingsFile = /(^|\/)mta\.ya?ml$/;
const foreignFile = /(^|\/)(kustomization|Chart|values)\.ya?ml$/;

/**
 * Sorts the documents of a folder and parses the objects. Nothing is thrown: whatever cannot be used is a problem with its place,
 * and hides no neighbour.
 *
 * @param namespace the one to serve; without it the first that a document names, else `default`.
 */
export function readContents(files: readonly FolderFile[], namespace?: string): FolderContents {
  const served = namespace ?? firstNamespace(files) ?? 'default';
  const sorter = new Sorter(served);
  for (const file of files) {
    if (file.unreadable !== undefined) sorter.refuseFile(file.path, file.unreadable);
    for (const { position, message, value } of file.broken) {
      sorter.brokenFiles.add(file.path);
      const object = identify(value);
      sorter.problems.push({ position, field: '', message, ...(object === undefined ? {} : { object }) });
    }
    for (const document of file.documents) sorter.take(file.path, document);
  }
  return sorter.contents();
}

class Sorter {
  readonly problems: FolderProblem[] = [];
  readonly brokenFiles = new Set<string>();
  private readonly objects: FolderObject[] = [];
  private readonly secrets: FolderSecret[] = [];
  private readonly configMaps: ConfigMapRecord[] = [];
  private readonly ignored: string[] = [];
  private readonly seen = new Map<string, FolderDocument>();
  private settings: FolderContents['settings'];
  private readonly namespace: string;

  constructor(namespace: string) {
    this.namespace = namespace;
  }

  contents(): FolderContents {
    const { namespace, objects, secrets, configMaps, problems, brokenFiles, ignored, settings } = this;
    const all = { namespace, objects, secrets, configMaps, problems, brokenFiles, ignored };
    return settings === undefined ? all : { ...all, settings };
  }

  refuseFile(path: string, reason: string): void {
    this.brokenFiles.add(path);
    this.problems.push({
      position: { file: path, line: 1, column: 1 },
      field: '',
      message: `the file ${reason}`,
    });
  }

  take(file: string, document: FolderDocument): void {
    const { value } = document;
    if (isRecord(value) && value['kind'] === undefined && value['apiVersion'] === undefined) {
      if (settingsFile.test(file)) this.takeSettings(document);
      else if (foreignFile.test(file)) this.ignored.push(file);
      else this.refuse(document, [], 'has neither apiVersion nor kind: only mta.yaml does without');
      return;
    }
    const object = identify(value);
    if (!isRecord(value) || object === undefined) {
      this.refuse(
        document,
        ['metadata', 'name'],
        'is no Kubernetes object: it needs apiVersion, kind and metadata.name',
      );
      return;
    }
    const { kind, name } = object;
    if (!this.isServed(value, document, object)) return;
    if (value['apiVersion'] === 'v1' && kind === 'Secret')
      this.add(document, readSecret(value, name), this.secrets, object);
    else if (value['apiVersion'] === 'v1' && kind === 'ConfigMap') {
      this.add(document, readConfigMap(value, name), this.configMaps, object);
    } else if (String(value['apiVersion']).startsWith(`${group}/`))
      this.takeObject(file, document, value, object);
    else this.ignored.push(`${file}: ${kind}/${name}`);
  }

  private takeSettings(document: FolderDocument): void {
    if (this.settings !== undefined) this.refuse(document, [], 'is a second mta.yaml: keep one');
    else this.settings = { value: document.value, document };
  }

  private takeObject(
    file: string,
    document: FolderDocument,
    value: Record<string, unknown>,
    identity: { kind: string; name: string },
  ): void {
    const kind = kindNames.find((known) => known === identity.kind);
    if (value['apiVersion'] !== apiVersion || kind === undefined) {
      const field = kind === undefined ? 'kind' : 'apiVersion';
      const message = `is unknown: the kinds of ${apiVersion} are ${kindNames.join(', ')}`;
      this.refuse(document, [field], message, identity, value[field]);
      return;
    }
    if (!this.isFirst(document, identity)) return;
    const written = writtenPart(value, this.namespace);
    const parsed = parseObject(kind, written);
    if (parsed.ok) this.objects.push({ kind, name: identity.name, written, object: parsed.object, file });
    else this.refuseEach(document, parsed.problems, identity);
  }

  private add<T>(
    document: FolderDocument,
    result: { ok: true; record: T } | { ok: false; problems: readonly Problem[] },
    records: T[],
    identity: { kind: string; name: string },
  ): void {
    if (!this.isFirst(document, identity)) return;
    if (result.ok) records.push(result.record);
    else this.refuseEach(document, result.problems, identity);
  }

  /** A standalone process is one tenant: what belongs to another namespace is named rather than mixed in. */
  private isServed(
    value: Record<string, unknown>,
    document: FolderDocument,
    identity: { kind: string; name: string },
  ): boolean {
    const stated = namespaceOf(value);
    if (stated === undefined || stated === this.namespace) return true;
    const message = `is another namespace than ${this.namespace}, which this folder is read for (see -n)`;
    this.refuse(document, ['metadata', 'namespace'], message, identity, stated);
    return false;
  }

  private isFirst(document: FolderDocument, identity: { kind: string; name: string }): boolean {
    const key = `${identity.kind}/${identity.name}`;
    const earlier = this.seen.get(key);
    if (earlier === undefined) {
      this.seen.set(key, document);
      return true;
    }
    const { file, line } = earlier.locate(['metadata', 'name']);
    const message = `stands in the folder twice, first at ${file}:${line}: that one is used; rename or remove one`;
    this.refuse(document, ['metadata', 'name'], message, identity);
    return false;
  }

  private refuseEach(
    document: FolderDocument,
    problems: readonly Problem[],
    identity: { kind: string; name: string },
  ): void {
    for (const { path, message, value } of problems)
      this.refuse(document, toFieldPath(path), message, identity, value);
  }

  private refuse(
    document: FolderDocument,
    path: FieldPath,
    message: string,
    object?: { kind: string; name: string },
    value?: unknown,
  ): void {
    const shown = showValue(value);
    this.problems.push({
      position: document.locate(path),
      field: fromFieldPath(path),
      message,
      ...(object === undefined ? {} : { object }),
      ...(shown === undefined || object?.kind === 'Secret' ? {} : { value: shown }),
    });
  }
}

const writtenParts = new WeakMap<object, { namespace: string; part: Readonly<Record<string, unknown>> }>();

/** The document without its status (that of a folder is ours), in the namespace that is served; made once for each document. */
function writtenPart(value: Record<string, unknown>, namespace: string): Readonly<Record<string, unknown>> {
  const known = writtenParts.get(value);
  if (known?.namespace === namespace) return known.part;
  const { status: _status, ...rest } = value;
  const metadata = isRecord(rest['metadata']) ? { namespace, ...rest['metadata'] } : rest['metadata'];
  const part = Object.freeze({ ...rest, metadata });
  writtenParts.set(value, { namespace, part });
  return part;
}

function identify(value: unknown): { kind: string; name: string } | undefined {
  if (!isRecord(value) || !isRecord(value['metadata'])) return undefined;
  const { kind } = value;
  const { name } = value['metadata'];
  return typeof kind === 'string' && typeof name === 'string' ? { kind, name } : undefined;
}

function namespaceOf(value: unknown): string | undefined {
  if (!isRecord(value) || !isRecord(value['metadata'])) return undefined;
  const { namespace } = value['metadata'];
  return typeof namespace === 'string' && namespace !== '' ? namespace : undefined;
}

function firstNamespace(files: readonly FolderFile[]): string | undefined {
  for (const { documents } of files) {
    for (const { value } of documents) {
      const named = namespaceOf(value);
      if (named !== undefined) return named;
    }
  }
  return undefined;
}

/** `spec.entries[3].address` as steps. */
export function toFieldPath(path: string): FieldPath {
  if (path === '') return [];
  return path.split(/\.|(?=\[)/).map((step) => (/^\[\d+\]$/.test(step) ? Number(step.slice(1, -1)) : step));
}

function fromFieldPath(path: FieldPath): string {
  return path.reduce<string>(
    (text, step) => (typeof step === 'number' ? `${text}[${step}]` : text === '' ? step : `${text}.${step}`),
    '',
  );
}
