import { kindNames } from '../../../bundle/source.ts';
import type { DkimObservation, DnsEndpointObservation, MailDnsObservation } from '../../compile/model.ts';
import type { ConditionSample } from '../../operator-metrics.ts';
import type { CachedObject, CachedPod, CachedWorkload } from './cached.ts';
import { settingsName, stateTokenName } from './names.ts';
import { OwnNamespace } from './own-namespace.ts';
import { type ObservedPod, PodObserver } from './pod-observer.ts';
import { type QueueClaim, queueClaims } from './queue-claims.ts';
import type { References } from './references.ts';
import type { Announcement } from './rollout.ts';
import { isForbidden } from './runtime/api-error.ts';
import type { ApiClient } from './runtime/client.ts';
import { StatusWriter } from './status-writer.ts';
import type { KindCaches, TenantCache } from './tenant-cache.ts';

/** What the platform knows and remembers of one namespace. Only caches and hints: all of it can be lost at any time. */
export class Tenant {
  readonly namespace: string;
  readonly kinds: KindCaches;
  readonly ownNamespace: OwnNamespace;
  readonly observer = new PodObserver();
  readonly statuses: StatusWriter;
  /** Last DNS check by name of the DkimKey. */
  readonly dkim = new Map<string, DkimObservation>();
  /** What is remembered of its records, by name of the MailDomain. */
  readonly mailDns = new Map<string, MailDnsObservation>();
  /** What came of its DNSEndpoint, by name of the DkimKey. */
  readonly dnsEndpoints = new Map<string, DnsEndpointObservation>();
  /** What the API server refused to write: see Snapshot. */
  readonly refusals = new Map<string, string>();
  /** By name of the MTA. */
  readonly announcements = new Map<string, Announcement>();
  /** Pods as they were asked for the last snapshot, by name of the MTA. */
  observed: ReadonlyMap<string, readonly ObservedPod[]> = new Map();
  /** `<kind>/<name>` of the objects that the last compilation gave a status: those of other classes are not among them. */
  reported: ReadonlySet<string> = new Set();
  references: References = { secrets: new Set(), configMaps: new Set() };
  /** When a pod is to be touched again, by name of the MTA; milliseconds since the epoch. */
  readonly touchDue = new Map<string, number>();
  /** Finalizers that we set: uid -> the version in the cache at that time. */
  readonly finalizerWrites = new Map<string, string>();
  cache: TenantCache | undefined;

  constructor(namespace: string, kinds: KindCaches, client: ApiClient, now: () => number) {
    this.namespace = namespace;
    this.kinds = kinds;
    this.statuses = new StatusWriter(client);
    this.ownNamespace = new OwnNamespace(client, namespace, now);
  }

  /**
   * The announcement of a bundle to the pods of an MTA, begun anew when there is something new to tell.
   *
   * @param now milliseconds since the epoch
   */
  announce(mta: string, bundleHash: string, wroteHot: boolean, now: number): Announcement {
    const known = this.announcements.get(mta);
    if (known?.bundleHash === bundleHash && !wroteHot) return known;
    // The annotation that we wrote last may not be in the cache yet, and the next value must differ from it.
    const touched = new Map(
      [...(known?.touched ?? [])].map(([uid, { value }]) => [uid, { times: 0, value }]),
    );
    const announcement = { bundleHash, writtenAt: now, touched };
    this.announcements.set(mta, announcement);
    return announcement;
  }

  /** Whether policy refers to an object of this name, or may soon. */
  refersTo(resource: 'configmaps' | 'secrets', name: string): boolean {
    return (resource === 'configmaps' ? this.references.configMaps : this.references.secrets).has(name);
  }

  /** All cached objects of the six kinds, in the order of kinds and names. */
  objects(): CachedObject[] {
    return kindNames.flatMap((kind) =>
      [...(this.kinds.get(kind)?.list(this.namespace) ?? [])].sort((left, right) =>
        left.identity.metadata.name < right.identity.metadata.name ? -1 : 1,
      ),
    );
  }

  /** Conditions as they stand in the API server, of the objects that are still there. */
  *conditions(): Generator<ConditionSample> {
    for (const entry of this.objects()) {
      const { kind, metadata } = entry.identity;
      if (!entry.parsed.ok || !this.reported.has(`${kind}/${metadata.name}`)) continue;
      const { status } = this.statuses.current(entry, entry.parsed.object);
      for (const condition of status?.conditions ?? []) {
        yield {
          kind,
          namespace: this.namespace,
          name: metadata.name,
          type: condition.type,
          status: condition.status,
        };
      }
    }
  }

  /** Whether there is nothing to serve and nothing to let go: no object of ours, no MTA, no key that we made. */
  get isIdle(): boolean {
    if (this.cache === undefined || this.objects().length > 0) return false;
    const { workloads, holdsKeys } = this.cache;
    // What may not be followed any more cannot be served, whatever was there when it could.
    return workloads.refused || (workloads.list(this.namespace).length === 0 && !holdsKeys);
  }

  /** StatefulSets of an operator class by MTA name; several under one name are an error that the compiler reports. */
  workloads(ownClass: string): Map<string, CachedWorkload[]> {
    const byMta = new Map<string, CachedWorkload[]>();
    const own = (this.cache?.workloads.list(this.namespace) ?? []).filter(
      (workload) => workload.class === ownClass,
    );
    for (const workload of own.sort((left, right) => (left.name < right.name ? -1 : 1))) {
      byMta.set(workload.mta, [...(byMta.get(workload.mta) ?? []), workload]);
    }
    return byMta;
  }

  /** MTAs that only operators of another class serve. */
  foreignMtas(ownClass: string): ReadonlySet<string> {
    const own = this.workloads(ownClass);
    const all = (this.cache?.workloads.list(this.namespace) ?? []).map(({ mta }) => mta);
    return new Set(all.filter((mta) => !own.has(mta)));
  }

  /** Pods that the workload controls and that are to stay. The label alone would let any pod speak for the MTA. */
  podsOf(workload: CachedWorkload): CachedPod[] {
    return (this.cache?.pods.list(this.namespace) ?? [])
      .filter(({ ownerUid, terminating }) => ownerUid === workload.uid && !terminating)
      .sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  /** Volumes of the workload's queues. */
  queueClaimsOf(workload: CachedWorkload): QueueClaim[] {
    if (this.cache === undefined) return [];
    const { claims, pods, left } = this.cache;
    return queueClaims(workload, claims.list(this.namespace), pods.list(this.namespace), left);
  }

  /**
   * Writes, and keeps for the next snapshot what the API server refuses.
   *
   * @param subject `mta/<name>` or `secret/<name>`
   * @throws whatever the write throws
   */
  async noteRefusal<T>(subject: string, write: () => Promise<T>): Promise<T> {
    try {
      const result = await write();
      this.refusals.delete(subject);
      return result;
    } catch (error) {
      if (isForbidden(error)) this.refusals.set(subject, error.message);
      throw error;
    }
  }

  /** Forgets what was noted of objects that are gone. */
  retain(uids: ReadonlySet<string>): void {
    this.statuses.retain(uids);
    for (const uid of this.finalizerWrites.keys()) if (!uids.has(uid)) this.finalizerWrites.delete(uid);
  }

  /** Sets what policy refers to, and lets go of the contents of everything else, and of what was refused to be written of it. */
  refer(references: References, mtas: readonly string[]): void {
    this.references = {
      secrets: references.secrets,
      configMaps: new Set([...references.configMaps, ...mtas.map(settingsName)]),
    };
    const subjects = new Set([
      ...mtas.map((mta) => `mta/${mta}`),
      ...[...references.secrets].map((name) => `secret/${name}`),
    ]);
    for (const subject of this.refusals.keys()) if (!subjects.has(subject)) this.refusals.delete(subject);
    this.cache?.configMaps.retain(this.references.configMaps);
    this.cache?.secrets.retain(new Set([...references.secrets, ...mtas.map(stateTokenName)]));
  }
}
