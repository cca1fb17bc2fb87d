import { isDeepStrictEqual } from 'node:util';
import type { ObjectStatus, PosternObject } from '../../api/index.ts';
import { keyAnnotations, keyFinalizer } from '../../compile/dkim-secret.ts';
import type {
  CompileOptions,
  DkimObservation,
  MailDnsObservation,
  Snapshot,
  StatusRecord,
  Want,
} from '../../compile/model.ts';
import type { ConditionSample } from '../../operator-metrics.ts';
import { keySecret, type MakeKey } from '../../reconcile/keys.ts';
import { rememberMailDns } from '../../reconcile/mail-dns-memory.ts';
import type { Platform, RenderedMta } from '../platform.ts';
import type { CachedObject, CachedWorkload } from './cached.ts';
import { deliverObjects } from './delivery.ts';
import { removeDnsEndpoint, writeDnsEndpoint } from './dns-endpoint.ts';
import { annotations, routeFinalizer } from './names.ts';
import type { Owner } from './object-plan.ts';
import { hasLoaded } from './pod-observer.ts';
import { pollDelay } from './poll-delay.ts';
import { noteQueues } from './queue-claims.ts';
import { announce, needsRoll, roll } from './rollout.ts';
import { causesOf, isForbidden, isNotFound, isTerminating } from './runtime/api-error.ts';
import type { EventRecorder } from './runtime/events.ts';
import type { MailOperator } from './runtime/mail-operator.ts';
import { annotateSecret, createSecretOnce, deleteSecret, ensureStateToken } from './secrets.ts';
import { takeSnapshot } from './snapshot.ts';
import { pluralOf } from './status-writer.ts';
import type { Tenant } from './tenant.ts';
import type { TenantCache } from './tenant-cache.ts';
import { transitionsOf } from './transitions.ts';

export interface KubernetesPlatformOptions {
  readonly operator: MailOperator;
  readonly events: EventRecorder;
  /** Only StatefulSets with this value of postern.dev/class are ours; empty: those without the label. */
  readonly class: string;
  readonly compileOptions: Omit<CompileOptions, 'allowedDomains'>;
  /** Milliseconds between two looks at pods that are up to date. */
  readonly slowPollMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: { warn(message: string): void };
  readonly signal: AbortSignal;
}

/** Objects written at a time: the API server answers in milliseconds, and a namespace may have 1,000 statuses. */
const writesAtATime = 8;

/** The API server and StatefulSets, behind the interface that a folder has too. */
export class KubernetesPlatform implements Platform {
  private readonly tenants = new Map<string, Tenant>();
  private readonly options: KubernetesPlatformOptions;

  constructor(options: KubernetesPlatformOptions) {
    this.options = options;
  }

  /** Takes a namespace on; its caches must be full before the first snapshot. */
  add(tenant: Tenant): void {
    this.tenants.set(tenant.namespace, tenant);
  }

  /** Lets go of all that is known of a namespace. Checks that still run for it end unheard. */
  forget(namespace: string): void {
    this.tenants.delete(namespace);
  }

  /** Whether a reconcile failed because the namespace is being deleted, or while it was. */
  isTerminating(namespace: string, failure: unknown): boolean {
    const own = this.tenant(namespace).ownNamespace;
    if (causesOf(failure).some(isTerminating)) own.noteTerminating();
    return own.isTerminating && causesOf(failure).every((cause) => isForbidden(cause) || isNotFound(cause));
  }

  /** When to look at the namespace again though nothing changed: pods are loading, are to be touched, or just from time to time. */
  nextDue(namespace: string): number {
    const { now, slowPollMs } = this.options;
    const tenant = this.tenant(namespace);
    const dues = [now() + slowPollMs];
    for (const [mta, pods] of tenant.observed) {
      const announcement = tenant.announcements.get(mta);
      if (announcement === undefined || pods.every((pod) => hasLoaded(pod, announcement.bundleHash)))
        continue;
      dues.push(now() + Math.min(pollDelay(now() - announcement.writtenAt), slowPollMs));
    }
    return Math.min(...dues, ...tenant.touchDue.values());
  }

  async snapshot(namespace: string, held: readonly PosternObject[] = []): Promise<Snapshot> {
    const tenant = this.tenant(namespace);
    const cache = cacheOf(tenant);
    const { compileOptions, signal, log } = this.options;
    const allowedDomains = await tenant.ownNamespace.allowedDomains();
    // Delivering says anew when a pod is due; an MTA that is not delivered to must not keep us awake.
    tenant.touchDue.clear();
    return takeSnapshot({
      tenant,
      cache,
      class: this.options.class,
      options: allowedDomains === undefined ? compileOptions : { ...compileOptions, allowedDomains },
      now: this.options.now(),
      signal,
      held,
      unreadable: (kind, name, problem) =>
        log.warn(`${kind} ${namespace}/${name} does not parse and is left out: ${problem}`),
    });
  }

  async deliver(namespace: string, mta: RenderedMta, signal: AbortSignal): Promise<void> {
    const tenant = this.tenant(namespace);
    // It would be refused, and the pods are going.
    if (tenant.ownNamespace.isTerminating) return;
    await tenant.noteRefusal(`mta/${mta.mta}`, () => this.deliverTo(tenant, mta, signal));
  }

  private async deliverTo(tenant: Tenant, mta: RenderedMta, signal: AbortSignal): Promise<void> {
    const { operator, now } = this.options;
    const { client } = operator;
    const { namespace } = tenant;
    const cache = cacheOf(tenant);
    const [workload, ...others] = tenant.workloads(this.options.class).get(mta.mta) ?? [];
    if (workload === undefined || others.length > 0) return;
    const owner: Owner = { mta: mta.mta, name: workload.name, uid: workload.uid };
    const pods = tenant.observed.get(mta.mta) ?? [];
    await ensureStateToken(client, cache, owner, signal);
    await noteQueues(client, namespace, tenant.queueClaimsOf(workload), signal);

    const allLoaded = pods.every((pod) => hasLoaded(pod, mta.bundleHash));
    const target = {
      client,
      namespace,
      configMaps: cache.renderedConfigMaps,
      secrets: cache.renderedSecrets,
    };
    const { wroteHot, refused, restored } = await deliverObjects(target, mta, owner, allLoaded, signal);
    this.tell(workload, 'RenderedObjectRefused', refused);
    this.tell(
      workload,
      'RenderedObjectRestored',
      restored.map((name) => `${name} had been changed or deleted, and is restored`),
    );
    if (refused.length > 0) throw new Error(`MTA ${mta.mta}: ${refused.join('; ')}`);

    const announcement = tenant.announce(mta.mta, mta.bundleHash, wroteHot, now());
    const due = await announce({
      client,
      namespace,
      pods,
      announcement,
      justWritten: wroteHot,
      now: now(),
      signal,
    });
    if (due === undefined) tenant.touchDue.delete(mta.mta);
    else tenant.touchDue.set(mta.mta, due);

    if (!needsRoll(workload, mta.coldHash, pods)) return;
    await roll(client, namespace, workload, mta.coldHash, signal);
    this.tell(
      workload,
      'RolledForConfiguration',
      [`${annotations.configHash} is ${mta.coldHash.slice(0, 12)} now`],
      'Normal',
    );
  }

  /** Every condition of the objects that are there and that are ours to report on. */
  *conditions(): Generator<ConditionSample> {
    for (const tenant of this.tenants.values()) yield* tenant.conditions();
  }

  async report(namespace: string, statuses: readonly StatusRecord[], signal: AbortSignal): Promise<void> {
    const tenant = this.tenant(namespace);
    tenant.reported = new Set(statuses.map(({ kind, name }) => `${kind}/${name}`));
    const failures: unknown[] = [];
    const waiting = [...statuses];
    const work = async () => {
      for (let record = waiting.shift(); record !== undefined; record = waiting.shift()) {
        try {
          await this.writeStatus(tenant, record, signal);
        } catch (error) {
          failures.push(error);
        }
      }
    };
    await Promise.all(Array.from({ length: writesAtATime }, work));
    const [first] = failures;
    if (failures.length === 1) throw first;
    if (failures.length > 1)
      throw new AggregateError(
        failures,
        `${failures.length} statuses of ${namespace} failed: ${String(first)}`,
      );
  }

  async createKeyOnce(namespace: string, want: MakeKey, key: string, signal: AbortSignal): Promise<void> {
    const secret = keySecret(namespace, want, key);
    const tenant = this.tenant(namespace);
    if (tenant.ownNamespace.isTerminating) return;
    const cache = cacheOf(tenant);
    const { client } = this.options.operator;
    await tenant.noteRefusal(`secret/${want.secretName}`, () =>
      createSecretOnce(client, cache, want.secretName, secret, signal),
    );
  }

  async rememberVerified(
    namespace: string,
    want: Extract<Want, { kind: 'rememberVerified' }>,
    signal: AbortSignal,
  ): Promise<void> {
    const cache = cacheOf(this.tenant(namespace));
    const { name, value } = { name: keyAnnotations.verifiedTime, value: want.verifiedTime };
    await annotateSecret(this.options.operator.client, cache, want.secretName, name, value, signal);
  }

  setRouteFinalizer(namespace: string, route: string, present: boolean, signal: AbortSignal): Promise<void> {
    return this.setFinalizer(namespace, { kind: 'Route', name: route }, routeFinalizer, present, signal);
  }

  setKeyFinalizer(namespace: string, dkimKey: string, present: boolean, signal: AbortSignal): Promise<void> {
    return this.setFinalizer(namespace, { kind: 'DkimKey', name: dkimKey }, keyFinalizer, present, signal);
  }

  async retireKey(
    namespace: string,
    secretName: string,
    deleteAfter: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const cache = cacheOf(this.tenant(namespace));
    const { client } = this.options.operator;
    await annotateSecret(client, cache, secretName, keyAnnotations.deleteAfter, deleteAfter, signal);
  }

  async deleteKey(
    namespace: string,
    { secretName, revision }: Extract<Want, { kind: 'deleteKey' }>,
    signal: AbortSignal,
  ): Promise<void> {
    const cache = cacheOf(this.tenant(namespace));
    const { operator, events } = this.options;
    const metadata = cache.secretMeta(secretName);
    await deleteSecret(operator.client, cache, secretName, revision, signal);
    if (metadata === undefined) return;
    events.record({
      regarding: { apiVersion: 'v1', kind: 'Secret', metadata },
      type: 'Normal',
      reason: 'KeyDeleted',
      action: 'DeleteKey',
      note: 'Its DkimKey was deleted and said secretRetention: Delete',
    });
  }

  private async setFinalizer(
    namespace: string,
    { kind, name }: { readonly kind: 'Route' | 'DkimKey'; readonly name: string },
    finalizer: string,
    present: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const tenant = this.tenant(namespace);
    const cached = tenant.kinds.get(kind)?.get(`${namespace}/${name}`);
    if (cached === undefined) return;
    const { uid, resourceVersion } = cached.identity.metadata;
    // The cache lags behind a write of ours: whatever it shows has been dealt with.
    if (tenant.finalizerWrites.get(uid) === resourceVersion) return;
    const identity = tenant.statuses.identity(cached);
    if ((identity.metadata.finalizers ?? []).includes(finalizer) === present) return;
    try {
      await this.options.operator.setFinalizer(identity, pluralOf(kind), finalizer, present);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    tenant.finalizerWrites.set(uid, resourceVersion);
  }

  async publishRecord(
    namespace: string,
    want: Extract<Want, { kind: 'publishRecord' | 'withdrawRecord' }>,
    signal: AbortSignal,
  ): Promise<void> {
    const tenant = this.tenant(namespace);
    const { dkimKey } = want;
    const uid = tenant.kinds.get('DkimKey')?.get(`${namespace}/${dkimKey}`)?.identity.metadata.uid;
    if (uid === undefined) return;
    const { operator } = this.options;
    const place = { client: operator.client, namespace, signal };
    const outcome =
      want.kind === 'publishRecord'
        ? await writeDnsEndpoint(place, want, uid)
        : await removeDnsEndpoint(place, want);
    const observation = { dkimKey, ...outcome };
    const isNews = !isDeepStrictEqual(tenant.dnsEndpoints.get(dkimKey), observation);
    tenant.dnsEndpoints.set(dkimKey, observation);
    if (isNews) operator.queue.add(namespace);
  }

  recordDkim(namespace: string, observation: DkimObservation): void {
    const tenant = this.tenants.get(namespace);
    if (tenant === undefined) return;
    tenant.dkim.set(observation.dkimKey, observation);
    this.options.operator.queue.add(namespace);
  }

  recordMailDns(namespace: string, observation: MailDnsObservation): void {
    const tenant = this.tenants.get(namespace);
    if (tenant === undefined) return;
    const { mailDns } = tenant;
    const { mailDomain } = observation;
    mailDns.set(mailDomain, rememberMailDns(mailDns.get(mailDomain), observation));
    this.options.operator.queue.add(namespace);
  }

  private async writeStatus(
    tenant: Tenant,
    { kind, name, status }: StatusRecord,
    signal: AbortSignal,
  ): Promise<void> {
    const cached = tenant.kinds.get(kind)?.get(`${tenant.namespace}/${name}`);
    if (cached === undefined) return;
    const before = previousConditions(tenant, cached);
    if (!(await tenant.statuses.write(kind, cached, status, signal))) return;
    for (const { type, reason, action, note } of transitionsOf(before, status.conditions ?? [])) {
      this.options.events.record({ regarding: cached.identity, type, reason, action, note });
    }
  }

  private tell(
    workload: CachedWorkload,
    reason: string,
    notes: readonly string[],
    type: 'Normal' | 'Warning' = 'Warning',
  ): void {
    for (const note of notes) {
      this.options.events.record({ regarding: workload.identity, type, reason, action: 'Deliver', note });
    }
  }

  private tenant(namespace: string): Tenant {
    const tenant = this.tenants.get(namespace);
    if (tenant === undefined) throw new Error(`namespace ${namespace} is not followed`);
    return tenant;
  }
}

function cacheOf(tenant: Tenant): TenantCache {
  if (tenant.cache === undefined)
    throw new Error(`the caches of namespace ${tenant.namespace} are not full yet`);
  return tenant.cache;
}

function previousConditions(tenant: Tenant, cached: CachedObject): NonNullable<ObjectStatus['conditions']> {
  return cached.parsed.ok
    ? (tenant.statuses.current(cached, cached.parsed.object).status?.conditions ?? [])
    : [];
}
