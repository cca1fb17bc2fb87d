import type { PosternObject } from '../api/index.ts';
import type { MailDnsObservation, Snapshot, StatusRecord, Want } from '../compile/model.ts';

/** Files for one MTA, rendered: what lies in the policy directory (hot) and what the process starts with (cold). */
export interface RenderedMta {
  readonly mta: string;
  readonly bundleHash: string;
  readonly coldHash: string;
  /** Public hot files: index.json and shards, by file name. Any byte of these may be public. */
  readonly publicFiles: ReadonlyMap<string, Uint8Array>;
  /** Secret hot files: the secret index, named by its revision, and secret shards. */
  readonly secretFiles: ReadonlyMap<string, Uint8Array>;
  /** Haraka's configuration and mta.json, by file name in its config directory. */
  readonly coldFiles: ReadonlyMap<string, string>;
}

/**
 * Where objects live and where MTAs run: the API server, or a folder and a child process. The only code that differs between
 * the two products. Every call is idempotent and writes only what differs.
 */
export interface Platform {
  /**
   * Everything a compilation of the namespace reads, as of now.
   * @param held forms that paused objects may be compiled in: what these refer to belongs into the snapshot too.
   */
  snapshot(namespace: string, held?: readonly PosternObject[]): Promise<Snapshot>;
  /** Puts the files where the MTA's processes find them, in an order that never leaves them without a complete set. */
  deliver(namespace: string, mta: RenderedMta, signal: AbortSignal): Promise<void>;
  /** Writes the statuses that differ. */
  report(namespace: string, statuses: readonly StatusRecord[], signal: AbortSignal): Promise<void>;
  /** Stores a freshly made key unless one is there already; never replaces one. */
  createKeyOnce(
    namespace: string,
    want: Extract<Want, { kind: 'createKey' | 'createHopKey' }>,
    key: string,
    signal: AbortSignal,
  ): Promise<void>;
  /** Sets the annotation `postern.dev/verified-time` on the Secret of a key that Postern made; nothing else of it changes. */
  rememberVerified(
    namespace: string,
    want: Extract<Want, { kind: 'rememberVerified' }>,
    signal: AbortSignal,
  ): Promise<void>;
  /** Brings a DNSEndpoint about or takes it away; the outcome stands in the next snapshot. */
  publishRecord(
    namespace: string,
    want: Extract<Want, { kind: 'publishRecord' | 'withdrawRecord' }>,
    signal: AbortSignal,
  ): Promise<void>;
  /** Adds or removes the finalizer by which the deletion of a DkimKey is noticed. */
  setKeyFinalizer(namespace: string, dkimKey: string, present: boolean, signal: AbortSignal): Promise<void>;
  /** Sets the annotation `postern.dev/delete-after` on the Secret of a key that Postern made, or takes it away. */
  retireKey(
    namespace: string,
    secretName: string,
    deleteAfter: string | undefined,
    signal: AbortSignal,
  ): Promise<void>;
  /** Deletes the Secret of a key, unless it is another version by now. */
  deleteKey(
    namespace: string,
    want: Extract<Want, { kind: 'deleteKey' }>,
    signal: AbortSignal,
  ): Promise<void>;
  /** Adds or removes the finalizer that guards a Route in use. */
  setRouteFinalizer(namespace: string, route: string, present: boolean, signal: AbortSignal): Promise<void>;
  /** Keeps the outcome of a DNS check for the next snapshot. */
  recordDkim(namespace: string, observation: Snapshot['observed']['dkim'][number]): void;
  /** Joins the outcome of a look at a domain's records with what is remembered of them. */
  recordMailDns(namespace: string, observation: MailDnsObservation): void;
}
