import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { apiVersion, type KindName, kinds, type ObjectStatus, parseObject } from '../../api/index.ts';
import { isRecord } from './documents.ts';
import { keyOf, type StoredObject, withIdentity } from './store.ts';

/** Where everything lies below the state folder. The folder belongs to one user: it holds keys and mail. */
export function statePaths(root: string, mta: string) {
  const home = join(root, 'mta', mta);
  return {
    root,
    lock: join(root, 'lock'),
    /** Names the folder of manifests that this state is of. */
    folder: join(root, 'folder'),
    /** Addresses of the MTA that serves now, `{http, smtp, ...}`. */
    addresses: join(root, 'addresses.json'),
    objects: join(root, 'objects'),
    status: join(root, 'status'),
    secrets: join(root, 'secrets'),
    policy: join(home, 'policy'),
    config: join(home, 'config'),
    home: join(home, 'home'),
    queue: join(home, 'queue'),
    journal: join(home, 'journal'),
    maildir: join(home, 'mail'),
    ledger: join(home, 'ledger.json'),
    lastAnswers: join(home, 'last-answers.json'),
    tls: join(home, 'tls'),
    token: join(home, 'token'),
    child: join(home, 'child'),
    log: join(home, 'log'),
  };
}
export type StatePaths = ReturnType<typeof statePaths>;

/** A name beside the file that no other writer uses, in this process or another: two that shared one would mix their bytes. */
export function temporaryPath(path: string): string {
  return `${path}.${randomUUID()}.tmp`;
}

/** Writes a file so that a reader sees the old bytes or the new ones, never a part. @param mode of a new file. */
export async function replaceFile(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const next = temporaryPath(path);
  await writeFile(next, content, { mode });
  await rename(next, path);
}

/** Reads a file, or undefined if there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The objects of an earlier run, with the statuses that it wrote. What does not parse any more is left out: it comes from the folder again. */
export async function loadObjects(
  paths: StatePaths,
): Promise<{ objects: ReadonlyMap<string, StoredObject>; statuses: ReadonlyMap<string, ObjectStatus> }> {
  const objects = new Map<string, StoredObject>();
  const statuses = new Map<string, ObjectStatus>();
  for (const { kind } of kinds) {
    for (const file of await list(join(paths.objects, kind))) {
      const value: unknown = parseJson(await readFile(join(paths.objects, kind, file), 'utf8'));
      if (!isRecord(value)) continue;
      const { creationTimestamp, file: source } = value;
      if (typeof creationTimestamp !== 'string' || typeof source !== 'string') continue;
      const name = file.slice(0, -'.json'.length);
      const statusFile = await readIfThere(statusPath(paths, { kind, name }));
      const form = readForm(kind, value, creationTimestamp, statusOf(statusFile));
      if (form === undefined) continue;
      const { status, ...object } = form.object;
      const held = readForm(kind, value['held'], creationTimestamp)?.object;
      objects.set(keyOf({ kind, name }), {
        ...form,
        kind,
        name,
        creationTimestamp,
        object: { ...object },
        file: source,
        ...(held === undefined ? {} : { held }),
      });
      if (status !== undefined) statuses.set(keyOf({ kind, name }), status);
    }
  }
  return { objects, statuses };
}

/** One form of a stored object, `{generation, written}`; undefined if it is not usable. */
function readForm(
  kind: KindName,
  value: unknown,
  creationTimestamp: string,
  status?: unknown,
): Pick<StoredObject, 'generation' | 'written' | 'object'> | undefined {
  if (!isRecord(value) || !isRecord(value['written']) || typeof value['generation'] !== 'number')
    return undefined;
  const { generation, written } = value;
  const parsed = parseObject(kind, { ...written, status });
  if (!parsed.ok) return undefined;
  const object = withIdentity(parsed.object, generation, creationTimestamp);
  return { generation, written: Object.freeze(written), object };
}

/** Brings the stored objects on disk to what the store holds; writes only what differs. */
export async function saveObjects(
  paths: StatePaths,
  before: ReadonlyMap<string, StoredObject>,
  after: ReadonlyMap<string, StoredObject>,
): Promise<void> {
  for (const [key, stored] of after) {
    if (before.get(key) === stored) continue;
    const { generation, creationTimestamp, file, written, held } = stored;
    const form = held === undefined ? {} : { held: { generation: held.metadata.generation, written: held } };
    await replaceFile(
      objectPath(paths, stored),
      JSON.stringify({ generation, creationTimestamp, file, written, ...form }),
    );
  }
  for (const [key, stored] of before) {
    if (!after.has(key)) await rm(objectPath(paths, stored), { force: true });
  }
}

/** Writes the status of one object as a manifest of it without spec. @param metadata what is known of it. */
export async function writeStatus(
  paths: StatePaths,
  object: { readonly kind: string; readonly name: string },
  metadata: Readonly<Record<string, unknown>>,
  status: unknown,
): Promise<void> {
  const manifest = { apiVersion, kind: object.kind, metadata: { name: object.name, ...metadata }, status };
  await replaceFile(
    statusPath(paths, object),
    stringify(manifest, { lineWidth: 0, aliasDuplicateObjects: false }),
    0o644,
  );
}

export async function removeStatus(paths: StatePaths, object: { kind: string; name: string }): Promise<void> {
  await rm(statusPath(paths, object), { force: true });
}

/** The status files there are, as `Kind/name`. */
export async function listStatuses(
  paths: StatePaths,
): Promise<readonly { kind: string; name: string; manifest: unknown }[]> {
  const found: { kind: string; name: string; manifest: unknown }[] = [];
  for (const { kind } of kinds) {
    for (const file of await list(join(paths.status, kind.toLowerCase()))) {
      const name = file.slice(0, -'.yaml'.length);
      const manifest: unknown = parse((await readIfThere(statusPath(paths, { kind, name }))) ?? '');
      found.push({ kind, name, manifest });
    }
  }
  return found;
}

/** Names of objects become file names only if they are names of objects. */
export function isObjectName(name: string): boolean {
  return /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(name) && !name.includes('..');
}

function objectPath(paths: StatePaths, { kind, name }: { kind: string; name: string }): string {
  return join(paths.objects, kind, `${name}.json`);
}

function statusPath(paths: StatePaths, { kind, name }: { kind: string; name: string }): string {
  return join(paths.status, kind.toLowerCase(), `${name}.yaml`);
}

function statusOf(file: string | undefined): unknown {
  if (file === undefined) return undefined;
  const manifest: unknown = parse(file);
  return isRecord(manifest) ? manifest['status'] : undefined;
}

async function list(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory).catch(() => []);
  return names.filter((name) => name.endsWith('.json') || name.endsWith('.yaml')).toSorted();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
