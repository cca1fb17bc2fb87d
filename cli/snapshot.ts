import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Snapshot } from '../operator/compile/model.ts';
import { readContents } from '../operator/platform/standalone/contents.ts';
import { FolderReader } from '../operator/platform/standalone/folder.ts';
import type { FolderProblem } from '../operator/platform/standalone/problem.ts';
import { SecretFiles } from '../operator/platform/standalone/secret-files.ts';
import { readSettings, standaloneMta } from '../operator/platform/standalone/settings.ts';
import { makeSnapshot } from '../operator/platform/standalone/snapshot.ts';
import {
  loadObjects,
  readIfThere,
  type StatePaths,
  statePaths,
} from '../operator/platform/standalone/state-files.ts';
import { emptyStore, updateStore } from '../operator/platform/standalone/store.ts';
import { Misuse } from './failure.ts';
import type { Shell } from './shell.ts';
import { namespaceOf, type SourceFlags } from './source.ts';

export interface LoadedSnapshot {
  readonly snapshot: Snapshot;
  /** What of the folder cannot be used; empty for a cluster, whose API server refuses it. */
  readonly problems: readonly FolderProblem[];
  /** Documents that are none of ours. */
  readonly ignored: readonly string[];
  /** False if the Secrets of the cluster could not be read: nothing that needs one can be told. */
  readonly readsSecrets: boolean;
  /** The state folder that was looked into. */
  readonly state?: StatePaths;
}

export const defaultState = '.postern';

/** Domain of Services where the operator is not told otherwise. */
const clusterDomain = 'cluster.local';

/**
 * Reads all that a compilation needs, and changes nothing. What the answer will lack is said on stderr.
 * @param now milliseconds since the epoch
 * @throws Misuse if the folder cannot be read, or the kubeconfig cannot be used
 * @throws Error if the API server refuses or does not answer
 */
export async function loadSnapshot(
  shell: Pick<Shell, 'warn'>,
  flags: SourceFlags,
  now: number,
): Promise<LoadedSnapshot> {
  if (flags.folder !== undefined) return await loadFolder(flags.folder, flags, now);
  // Loaded only when it is needed: a Kubernetes client is heavy.
  const { withCluster } = await import('./cluster.ts');
  const { readNamespace } = await import('../operator/platform/kubernetes/one-shot.ts');
  const options = { clusterDomain, allowedRouteRanges: [] };
  const namespace = namespaceOf(flags);
  const reading = await withCluster(flags, (client) => readNamespace(client, namespace, options, now));
  for (const note of reading.notes) shell.warn(`note: ${note}`);
  const { snapshot, readsSecrets } = reading;
  return { snapshot, problems: [], ignored: [], readsSecrets };
}

async function loadFolder(folder: string, flags: SourceFlags, now: number): Promise<LoadedSnapshot> {
  const reader = new FolderReader(folder, flags.state ?? defaultState);
  const files = await reader.read().catch((error: unknown) => {
    const reason = error instanceof Error && 'code' in error ? error.code : String(error);
    const hint = reason === 'ENOTDIR' ? ': it is a file; name the folder that it lies in' : ` (${reason})`;
    throw new Misuse(`-f ${folder}: the folder cannot be read${hint}`);
  });
  const state = await findState(folder, flags.state);
  const contents = readContents(files, flags.namespace);
  const kept = state === undefined ? undefined : await loadObjects(state);
  const store = updateStore({ ...emptyStore, objects: kept?.objects ?? new Map() }, contents, now);
  const settings = readSettings(contents, store, machineName());
  const keys = state === undefined ? undefined : new SecretFiles(state.secrets);
  const snapshot = makeSnapshot({
    contents,
    store,
    statuses: kept?.statuses ?? new Map(),
    keys: (await keys?.read()) ?? [],
    revisionKey: (await keys?.storedRevisionKey()) ?? randomBytes(32).toString('hex'),
    settings: settings.settings,
    pods: [],
    dkim: [],
    now,
  });
  const problems = [...contents.problems, ...settings.problems];
  const loaded = { snapshot, problems, ignored: contents.ignored, readsSecrets: true };
  return state === undefined ? loaded : { ...loaded, state };
}

/** The state folder of a standalone process that serves, or served, this folder of manifests. */
async function findState(folder: string, state: string | undefined): Promise<StatePaths | undefined> {
  const paths = statePaths(resolve(state ?? defaultState), standaloneMta);
  const served = (await readIfThere(paths.folder))?.trim();
  if (state !== undefined && served === undefined) {
    throw new Misuse(`--state ${state}: is no state folder of postern standalone`);
  }
  return state !== undefined || served === resolve(folder) ? paths : undefined;
}

/** Name of this machine if it may stand in EHLO, else one that every machine has. */
export function machineName(): string {
  const name = hostname().toLowerCase();
  return /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)
    ? name
    : 'localhost.localdomain';
}
