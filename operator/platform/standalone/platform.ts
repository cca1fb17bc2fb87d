import { canonicalJson } from '../../../bundle/canonical.ts';
import type { MtaSettings, ObjectStatus } from '../../api/index.ts';
import { retiredUntil } from '../../compile/dkim-retention.ts';
import { keyAnnotations, secretNameOf } from '../../compile/dkim-secret.ts';
import type {
  DkimObservation,
  MailDnsObservation,
  PodObservation,
  Snapshot,
  StatusRecord,
  Want,
} from '../../compile/model.ts';
import { keySecret, type MakeKey } from '../../reconcile/keys.ts';
import { rememberMailDns } from '../../reconcile/mail-dns-memory.ts';
import type { Platform, RenderedMta } from '../platform.ts';
import { writeVolume } from './atomic-volume.ts';
import { type FolderContents, readContents } from './contents.ts';
import type { FolderFile, FolderReader } from './folder.ts';
import type { FolderProblem } from './problem.ts';
import { SecretFiles } from './secret-files.ts';
import { keepGood, readSettings, standaloneMta } from './settings.ts';
import { makeSnapshot } from './snapshot.ts';
import {
  isObjectName,
  listStatuses,
  loadObjects,
  removeStatus,
  type StatePaths,
  saveObjects,
  writeStatus,
} from './state-files.ts';
import { overlayProblems, type ShownStatus } from './status-report.ts';
import { emptyStore, goneKeys, keyOf, problemsByObject, type Store, updateStore } from './store.ts';

export interface StandalonePlatformOptions {
  readonly folder: FolderReader;
  readonly paths: StatePaths;
  /** The namespace to serve; undefined: the first that a document names, else `default`. */
  readonly namespace?: string;
  /** Name of this machine, for an MTA without settings. */
  readonly hostName: string;
  readonly pods: () => readonly PodObservation[];
  /** The files of an MTA lie in place: its process is to load them, and to be started anew if the cold ones changed. */
  readonly delivered: (rendered: RenderedMta, settings: MtaSettings) => Promise<void>;
  /** The statuses, and the problems of the folder, as they are now. */
  readonly reported: (statuses: ReadonlyMap<string, ShownStatus>, problems: readonly FolderProblem[]) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** A folder and a child process, behind the interface that the cluster has too. One instance serves one folder. */
export class StandalonePlatform implements Platform {
  private readonly options: StandalonePlatformOptions;
  private readonly secretFiles: SecretFiles;
  private readonly dkim = new Map<string, DkimObservation>();
  private readonly mailDns = new Map<string, MailDnsObservation>();
  private store: Store = emptyStore;
  private statuses: ReadonlyMap<string, ObjectStatus> = new Map();
  private shown: ReadonlyMap<string, ShownStatus> = new Map();
  private files: readonly FolderFile[] | undefined;
  private contents: FolderContents | undefined;
  private problems: readonly FolderProblem[] = [];
  private settings: MtaSettings | undefined;
  private revisionKey: string | undefined;

  constructor(options: StandalonePlatformOptions) {
    this.options = options;
    this.secretFiles = new SecretFiles(options.paths.secrets);
  }

  /** Takes up what an earlier run left in the state folder. Call it once, before anything else. */
  async load(): Promise<void> {
    const { objects, statuses } = await loadObjects(this.options.paths);
    this.store = { ...emptyStore, objects };
    this.statuses = statuses;
    const files = (await listStatuses(this.options.paths)).map((file): [string, ShownStatus] => {
      const key = keyOf(file);
      return [key, { kind: file.kind, name: file.name, status: statuses.get(key) ?? {} }];
    });
    this.shown = new Map(files);
    this.revisionKey = await this.secretFiles.revisionKey();
  }

  /** Namespace of the folder, known after the first `read`. */
  get namespace(): string {
    return this.contents?.namespace ?? this.options.namespace ?? 'default';
  }

  /**
   * Reads the folder again.
   * @returns whether anything in it changed.
   * @throws the file system's error if the folder cannot be read: what was known stays.
   */
  async read(): Promise<boolean> {
    const { folder, namespace, now, paths, hostName } = this.options;
    const files = await folder.read();
    if (files.length === this.files?.length && files.every((file, index) => file === this.files?.[index]))
      return false;
    const contents = readContents(files, namespace);
    const store = updateStore(this.store, contents, now());
    // Noted before the objects are forgotten: whoever is interrupted here does it again.
    for (const dkimKey of goneKeys(this.store, store)) {
      const noted = [keyAnnotations.deleteAfter, retiredUntil(now())] as const;
      await this.secretFiles.annotate(secretNameOf(dkimKey), ...noted);
    }
    await saveObjects(paths, this.store.objects, store.objects);
    this.store = store;
    this.contents = contents;
    const read = readSettings(contents, store, hostName);
    const kept = keepGood(read, this.settings);
    if (kept.ok) this.settings = kept.value;
    this.problems = [...contents.problems, ...read.problems];
    this.files = files;
    return true;
  }

  async snapshot(_namespace: string): Promise<Snapshot> {
    const { pods, now, hostName } = this.options;
    if (this.contents === undefined || this.revisionKey === undefined)
      throw new Error('the folder was not read yet');
    return makeSnapshot({
      contents: this.contents,
      store: this.store,
      statuses: this.statuses,
      keys: await this.secretFiles.read(),
      revisionKey: this.revisionKey,
      settings:
        this.settings === undefined
          ? readSettings(this.contents, this.store, hostName).settings
          : { ok: true, value: this.settings },
      pods: pods(),
      dkim: [...this.dkim.values()],
      mailDns: [...this.mailDns.values()],
      now: now(),
    });
  }

  async deliver(_namespace: string, rendered: RenderedMta, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (rendered.mta !== standaloneMta || this.settings === undefined) return;
    const { paths, now, delivered } = this.options;
    await writeVolume(paths.policy, new Map([...rendered.publicFiles, ...rendered.secretFiles]), now());
    const coldFiles = [...rendered.coldFiles].map(([name, text]): [string, Uint8Array] => [
      name,
      Buffer.from(text),
    ]);
    await writeVolume(paths.config, new Map(coldFiles), now());
    await delivered(rendered, this.settings);
  }

  async report(_namespace: string, statuses: readonly StatusRecord[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { paths, now, reported } = this.options;
    const shown = overlayProblems(statuses, problemsByObject(this.problems), this.shown, now());
    for (const [key, record] of shown) {
      if (isSame(record, this.shown.get(key)) || !isObjectName(record.name)) continue;
      const stored = this.store.objects.get(key);
      const identity =
        stored === undefined
          ? {}
          : { generation: stored.generation, creationTimestamp: stored.creationTimestamp };
      await writeStatus(paths, record, { namespace: this.namespace, ...identity }, record.status);
    }
    for (const [key, record] of this.shown) {
      if (!shown.has(key) && isObjectName(record.name)) await removeStatus(paths, record);
    }
    this.shown = shown;
    this.statuses = new Map(statuses.map((record) => [keyOf(record), record.status]));
    reported(shown, this.problems);
  }

  async createKeyOnce(namespace: string, want: MakeKey, key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.store.secrets.has(want.secretName)) return;
    await this.secretFiles.createOnce(keySecret(namespace, want, key));
  }

  async rememberVerified(
    _namespace: string,
    want: Extract<Want, { kind: 'rememberVerified' }>,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    await this.secretFiles.annotate(want.secretName, keyAnnotations.verifiedTime, want.verifiedTime);
  }

  /** A folder has no external-dns: the snapshot says so. */
  async publishRecord(): Promise<void> {}

  /** Nothing holds a file back: what is gone from the folder is noticed when it is read. */
  async setKeyFinalizer(): Promise<void> {}

  async retireKey(
    _namespace: string,
    secretName: string,
    deleteAfter: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    await this.secretFiles.annotate(secretName, keyAnnotations.deleteAfter, deleteAfter);
  }

  async deleteKey(
    _namespace: string,
    { secretName }: Extract<Want, { kind: 'deleteKey' }>,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    await this.secretFiles.remove(secretName);
  }

  /** Nothing holds a file back: whoever deletes a Route in use sees RouteNotFound, and mail for it waits in the queue. */
  async setRouteFinalizer(): Promise<void> {}

  recordDkim(_namespace: string, observation: DkimObservation): void {
    this.dkim.set(observation.dkimKey, observation);
  }

  recordMailDns(_namespace: string, observation: MailDnsObservation): void {
    const { mailDomain } = observation;
    this.mailDns.set(mailDomain, rememberMailDns(this.mailDns.get(mailDomain), observation));
  }
}

function isSame(left: ShownStatus, right: ShownStatus | undefined): boolean {
  return right !== undefined && canonicalJson(left.status) === canonicalJson(right.status);
}
