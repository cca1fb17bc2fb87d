import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { pino } from 'pino';
import { compile } from './compile/compile.ts';
import { type DnsOptions, defaultDnsOptions } from './observe/resolver.ts';
import { createOperatorMetrics } from './operator-metrics.ts';
import type { OperatorFlags } from './operator-options.ts';
import { startOperatorServer } from './operator-server.ts';
import { isOutage } from './platform/kubernetes/outage.ts';
import { KubernetesPlatform } from './platform/kubernetes/platform.ts';
import {
  causesOf,
  isForbidden,
  isTerminating,
  retryAfterOf,
} from './platform/kubernetes/runtime/api-error.ts';
import { createApiClient, loadKubeConfig } from './platform/kubernetes/runtime/client.ts';
import { systemClock } from './platform/kubernetes/runtime/clock.ts';
import { createEventRecorder } from './platform/kubernetes/runtime/events.ts';
import { type Election, joinElection } from './platform/kubernetes/runtime/leader.ts';
import { MailOperator } from './platform/kubernetes/runtime/mail-operator.ts';
import { Tenancy } from './platform/kubernetes/tenancy.ts';
import { makeChecks } from './reconcile/checks.ts';
import { HeldObjects } from './reconcile/held-objects.ts';
import { generateKey } from './reconcile/keys.ts';
import { reconcileTenant } from './reconcile/tenant.ts';
import { render } from './render/render.ts';

/** Namespaces reconciled at a time. */
const workers = 2;
const reconcileTimeoutMs = 60_000;
/** Milliseconds after which a namespace is tried again when the API server could not be reached, on average. */
const outageRetryMs = 2_000;
/** Milliseconds after which a namespace that is being deleted is looked at again, if nothing changes in it before. */
const terminatingRetryMs = 5_000;
/** Milliseconds between two reconciles of a namespace that asks for another at once. */
const shortestRestMs = 50;
const leaseName = 'postern-operator';

export interface OperatorOptions extends OperatorFlags {
  /** Namespace of the Lease; needed for leaderElect. */
  readonly ownNamespace?: string;
  /** How DNS is asked, where it is not as on any machine. */
  readonly dns?: Partial<DnsOptions>;
  /** Milliseconds between looks at a namespace in which nothing happens; 30,000 by default. */
  readonly slowPollMs?: number;
  /** Milliseconds between full LISTs; see InformerOptions. */
  readonly resyncMs?: number;
  /** Milliseconds since the epoch; the clock of this machine by default. */
  readonly now?: () => number;
}

export interface RunningOperator {
  /** Port of /healthz, /readyz and /metrics. */
  readonly httpPort: number;
  readonly isReady: () => boolean;
  /** Resolves with the reason if the Lease was lost: the process has to end at once, since another leads now. */
  readonly lost: Promise<string>;
  /** Drains: no new work, running reconciles end, events are written, the Lease is given back. May be called once. */
  stop(): Promise<void>;
}

/**
 * Starts the operator; it runs until it is stopped.
 *
 * @throws Error if the kubeconfig cannot be used, the HTTP address cannot be had, or the Lease has no namespace
 */
export async function startOperator(options: OperatorOptions): Promise<RunningOperator> {
  const log = pino({ level: options.logLevel, base: null });
  const leaseNamespace = options.leaderElect ? options.ownNamespace : undefined;
  if (options.leaderElect && leaseNamespace === undefined) {
    throw new Error('--leader-elect needs a namespace for the Lease: run it in a pod or set POD_NAMESPACE');
  }
  const kubeConfig = loadKubeConfig(options.kubeconfig);
  const stopping = new AbortController();
  const now = options.now ?? Date.now;

  // Apart from the other requests: a renewal waits for none of them, and is no write that only the leader may make.
  const leaseClient = createApiClient(kubeConfig);
  const operator: MailOperator = new MailOperator({
    kubeConfig,
    clock: systemClock,
    log,
    fieldManager: 'postern',
    workers,
    reconcileTimeoutMs,
    init: () => tenancy.start(),
    reconcile: (namespace, signal) => reconcile(namespace, AbortSignal.any([signal, stopping.signal])),
    mayWrite: () => election === undefined || election.isLeader(),
    ...(options.resyncMs === undefined ? {} : { resyncMs: options.resyncMs }),
  });
  const events = createEventRecorder({
    client: operator.client,
    clock: systemClock,
    reportingController: 'postern.dev/operator',
    reportingInstance: hostname(),
    // Nobody would read it there.
    onError: (error) =>
      log[isTerminating(error) ? 'debug' : 'warn'](
        `an event was not written (told once, until one is written there): ${String(error)}`,
      ),
  });
  const platform = new KubernetesPlatform({
    operator,
    events,
    class: options.class,
    compileOptions: {
      clusterDomain: options.clusterDomain,
      allowedRouteRanges: options.allowedRouteRanges,
      ...(options.clusterRanges && { clusterRanges: options.clusterRanges }),
    },
    slowPollMs: options.slowPollMs ?? 30_000,
    now,
    log,
    signal: stopping.signal,
  });
  const tenancy: Tenancy = new Tenancy({ operator, platform, namespaces: options.namespaces, now, log });
  const metrics = createOperatorMetrics({
    queueDepth: () => operator.queue.depth,
    conditions: () => platform.conditions(),
  });
  const dns: DnsOptions = { ...defaultDnsOptions, resolvers: options.resolvers, ...options.dns };
  const held = new HeldObjects();
  const checks = makeChecks({
    dns,
    recordDkim: (namespace, observation) => platform.recordDkim(namespace, observation),
    recordMailDns: (namespace, observation) => platform.recordMailDns(namespace, observation),
    failed: (namespace, object, error) =>
      log.error(`DNS check of ${object} in ${namespace} broke: ${String(error)}`),
    signal: stopping.signal,
    now,
  });

  async function reconcile(
    namespace: string,
    signal: AbortSignal,
  ): Promise<{ requeueAfterMs: number } | undefined> {
    // A process that was stopped for longer than its Lease must not write; it will be told that it lost.
    if (election !== undefined && !election.isLeader()) return { requeueAfterMs: 1_000 };
    if (await tenancy.leave(namespace)) {
      held.forget(namespace);
      metrics.forget(namespace);
      return undefined;
    }
    if (tenancy.get(namespace) === undefined) {
      await tenancy.tidy(namespace);
      return undefined;
    }
    const began = performance.now();
    let result: 'ok' | 'error' = 'error';
    try {
      const outcome = await reconcileTenant(namespace, platform, {
        compile,
        render,
        held,
        now,
        ...checks.start,
        generateKey,
        signal,
      });
      result = 'ok';
      const due = Math.min(outcome.nextDue ?? Number.POSITIVE_INFINITY, platform.nextDue(namespace));
      return { requeueAfterMs: Math.max(shortestRestMs, due - now()) };
    } catch (error) {
      if (causesOf(error).some(isForbidden)) await tenancy.tidy(namespace);
      if (platform.isTerminating(namespace, error)) {
        log.info(`namespace ${namespace} is being deleted: ${messageOf(error)}`);
        return { requeueAfterMs: terminatingRetryMs };
      }
      if (!isOutage(error)) throw error;
      // The wait does not grow: after an outage of an hour nobody should have to wait five minutes more.
      log.warn(`namespace ${namespace} waits for the API server: ${messageOf(error)}`);
      return { requeueAfterMs: Math.max(retryAfterOf(error), outageRetryMs * (0.5 + Math.random())) };
    } finally {
      metrics.reconciled(namespace, result, (performance.now() - began) / 1_000);
    }
  }

  const { promise: lost, resolve: setLost } = Promise.withResolvers<string>();
  const start = () => {
    metrics.leads(true);
    operator.start().catch((error: unknown) => {
      if (!stopping.signal.aborted) log.error(`the operator did not start: ${String(error)}`);
    });
  };
  let election: Election | undefined;
  const server = await startOperatorServer({
    ...options.http,
    // A replica that waits for the Lease is ready to take over.
    isReady: () => tenancy.isReady || (election !== undefined && !election.isLeader()),
    metrics: () => metrics.registry.metrics(),
  });
  if (leaseNamespace !== undefined) {
    election = joinElection({
      client: leaseClient,
      namespace: leaseNamespace,
      name: options.class === '' ? leaseName : `${leaseName}-${options.class}`,
      identity: `${hostname()}_${randomBytes(4).toString('hex')}`,
      clock: systemClock,
      onElected: start,
      onLost: (reason) => {
        stopping.abort(new Error(reason));
        setLost(reason);
      },
      onError: (error) => log.warn(`election: ${String(error)}`),
    });
  } else {
    start();
  }

  return {
    httpPort: server.port,
    isReady: () => tenancy.isReady,
    lost,
    async stop() {
      tenancy.stop();
      await server.stop();
      await operator.stop();
      stopping.abort(new Error('the operator is stopping'));
      await checks.idle();
      await events.stop();
      await election?.stop();
      operator.client.close();
      leaseClient.close();
    },
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
