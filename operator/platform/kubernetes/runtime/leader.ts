// Leader election by a Lease, after client-go's tools/leaderelection: one replica reconciles, the others wait.
// A Lease expires by our own monotonic clock since we last saw it change; the times written in it are for people only.
import { isConflict, isNotFound } from './api-error.ts';
import type { ApiClient } from './client.ts';
import { type Clock, pause } from './clock.ts';
import { microTime } from './micro-time.ts';
import { isRecord } from './resource.ts';

/** client-go's and controller-runtime's defaults, in milliseconds. */
const LEASE_MS = 15_000;
const RENEW_DEADLINE_MS = 10_000;
const RETRY_MS = 2_000;
/** Waits between tries to get the Lease are drawn from 1 to 2.2 times the retry time, so that rivals get out of step. */
const JITTER = 1.2;

export interface ElectionOptions {
  readonly client: ApiClient;
  readonly namespace: string;
  /** Name of the Lease. */
  readonly name: string;
  /** Unique to this process, for example the pod's name and a random part. */
  readonly identity: string;
  readonly clock: Clock;
  readonly random?: () => number;
  /** Called once, when this process becomes the leader. */
  readonly onElected: () => void;
  /** Called at most once, if it was the leader and is it no longer. Everything must end at once: another may lead already. */
  readonly onLost: (reason: string) => void;
  /** Told of failed requests; the election goes on. */
  readonly onError?: (error: unknown) => void;
  /** Shorter times for tests; each must be shorter than the one before: lease, renew deadline, retry. */
  readonly times?: { readonly leaseMs: number; readonly renewDeadlineMs: number; readonly retryMs: number };
}

export interface Election {
  /** `true` while nobody else can hold the Lease: ask again after every pause, a stopped process learns late that it lost. */
  isLeader(): boolean;
  /** Gives the Lease back if it is ours, so that another replica need not wait for its end, and leaves the election. */
  stop(): Promise<void>;
}

interface LeaseRecord {
  readonly holder: string;
  readonly durationMs: number;
  readonly transitions: number;
  readonly acquireTime: string | undefined;
  readonly resourceVersion: string;
}

/** Takes part in the election until stopped, or until leadership is lost: then the process should exit. */
export function joinElection(options: ElectionOptions): Election {
  const { client, clock, identity, random = Math.random } = options;
  const times = options.times ?? { leaseMs: LEASE_MS, renewDeadlineMs: RENEW_DEADLINE_MS, retryMs: RETRY_MS };
  const leases = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases`;
  const path = `${leases}/${options.name}`;
  const stopping = new AbortController();
  let observed: LeaseRecord | undefined;
  let observedAt = 0;
  /** Clock time before the last request that made or kept us leader; undefined if we are not. */
  let renewedAt: number | undefined;

  const observe = (record: LeaseRecord) => {
    if (record.resourceVersion === observed?.resourceVersion) return;
    observed = record;
    observedAt = clock.now();
  };
  // A request that hangs must leave time for another before the deadline.
  const write = async (method: 'POST' | 'PUT', target: string, spec: object, resourceVersion?: string) =>
    observe(
      readLease(
        await client.request(method, target, {
          body: {
            apiVersion: 'coordination.k8s.io/v1',
            kind: 'Lease',
            metadata: { name: options.name, namespace: options.namespace, resourceVersion },
            spec,
          },
          timeoutMs: times.renewDeadlineMs / 2,
        }),
      ),
    );

  /** One try to get or keep the Lease; `true` if it is ours now. */
  async function tryOnce(): Promise<boolean> {
    const startedAt = clock.now();
    const now = microTime(clock.date());
    const leaseDurationSeconds = Math.ceil(times.leaseMs / 1000);
    try {
      // A leader knows the Lease it wrote; if somebody changed it since, the PUT conflicts and we read it.
      if (renewedAt === undefined)
        observe(
          readLease(
            await client.request('GET', path, {
              signal: stopping.signal,
              timeoutMs: times.renewDeadlineMs / 2,
            }),
          ),
        );
    } catch (error) {
      if (!isNotFound(error)) throw error;
      observed = undefined;
    }
    const known = observed;
    if (known === undefined) {
      const spec = {
        holderIdentity: identity,
        leaseDurationSeconds,
        acquireTime: now,
        renewTime: now,
        leaseTransitions: 0,
      };
      await write('POST', leases, spec);
    } else {
      const ours = known.holder === identity;
      const expired = clock.now() >= observedAt + known.durationMs;
      if (!ours && known.holder !== '' && !expired) return false;
      const spec = {
        holderIdentity: identity,
        leaseDurationSeconds,
        acquireTime: ours ? (known.acquireTime ?? now) : now,
        renewTime: now,
        leaseTransitions: ours ? known.transitions : known.transitions + 1,
      };
      await write('PUT', path, spec, known.resourceVersion);
    }
    renewedAt = startedAt;
    return true;
  }

  /** Why we are no longer the leader, or undefined while we are. */
  async function renew(): Promise<string | undefined> {
    try {
      await tryOnce();
    } catch (error) {
      options.onError?.(error);
      if (isConflict(error) || isNotFound(error)) {
        const record = await readCurrent();
        if (record !== undefined && record.holder !== identity)
          return `${record.holder || 'nobody'} holds the Lease now`;
      }
    }
    const since = clock.now() - (renewedAt ?? 0);
    return since >= times.renewDeadlineMs
      ? `the Lease could not be renewed for ${Math.round(since / 1000)} s`
      : undefined;
  }

  async function readCurrent(): Promise<LeaseRecord | undefined> {
    try {
      const record = readLease(await client.request('GET', path, { timeoutMs: times.renewDeadlineMs / 2 }));
      observe(record);
      return record;
    } catch (error) {
      // Deleted: the next try makes it anew.
      if (isNotFound(error)) observed = undefined;
      else options.onError?.(error);
      return undefined;
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted && renewedAt === undefined) {
      const elected = await tryOnce().catch((error: unknown) => {
        // Losing the race for a free Lease is how elections go.
        if (!stopping.signal.aborted && !isConflict(error)) options.onError?.(error);
        return false;
      });
      if (!elected) await pause(clock, times.retryMs * (1 + JITTER * random()), stopping.signal);
    }
    if (stopping.signal.aborted) return;
    options.onElected();
    while (await pause(clock, times.retryMs, stopping.signal)) {
      const lost = await renew();
      if (lost === undefined) continue;
      renewedAt = undefined;
      options.onLost(lost);
      return;
    }
  }

  /** As client-go releases: an empty holder and one second, so that the next one need not wait. */
  async function release(): Promise<void> {
    if (renewedAt === undefined || observed === undefined) return;
    renewedAt = undefined;
    const now = microTime(clock.date());
    const spec = {
      holderIdentity: '',
      leaseDurationSeconds: 1,
      acquireTime: now,
      renewTime: now,
      leaseTransitions: observed.transitions,
    };
    await write('PUT', path, spec, observed.resourceVersion).catch((error: unknown) =>
      options.onError?.(error),
    );
  }

  const ended = run();
  return {
    isLeader: () => renewedAt !== undefined && clock.now() - renewedAt < times.leaseMs,
    async stop() {
      stopping.abort();
      await ended;
      await release();
    },
  };
}

function readLease(lease: unknown): LeaseRecord {
  const { metadata, spec } = isRecord(lease) ? lease : {};
  if (!isRecord(metadata) || typeof metadata['resourceVersion'] !== 'string')
    throw new Error('the answer is not a Lease');
  const fields = isRecord(spec) ? spec : {};
  const { holderIdentity, leaseDurationSeconds, leaseTransitions, acquireTime } = fields;
  return {
    holder: typeof holderIdentity === 'string' ? holderIdentity : '',
    durationMs: typeof leaseDurationSeconds === 'number' ? leaseDurationSeconds * 1000 : 0,
    transitions: typeof leaseTransitions === 'number' ? leaseTransitions : 0,
    acquireTime: typeof acquireTime === 'string' ? acquireTime : undefined,
    resourceVersion: metadata['resourceVersion'],
  };
}
