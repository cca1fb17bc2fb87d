import { bundleVersion } from '../bundle/policy-bundle.ts';
import type { MtaState } from '../bundle/state.ts';
import type { RouteProber } from './lookups/route-prober.ts';
import type { QueueProbe } from './queue-probe.ts';
import type { Runtime } from './runtime.ts';

/** Files in the queue: waiting for their next attempt, and all. */
export function queueSize({ haraka }: Pick<Runtime, 'haraka'>): { size: number; deferred: number } {
  const deferred = haraka.outbound.temp_fail_queue.length();
  return { size: deferred + haraka.outbound.delivery_queue.length(), deferred };
}

/** Whether this process should get new connections, and if not, why. */
export async function readiness(
  runtime: Runtime,
  probe: QueueProbe,
): Promise<Pick<MtaState, 'ready' | 'readyReason'>> {
  if (runtime.drain.draining) return { ready: false, readyReason: 'Draining' };
  if (runtime.bundles.current === undefined) return { ready: false, readyReason: 'NoBundle' };
  if (!(await probe.writable())) return { ready: false, readyReason: 'QueueNotWritable' };
  return { ready: true, readyReason: 'Ready' };
}

/** The answer to GET /state. */
export async function currentState(
  runtime: Runtime,
  probe: QueueProbe,
  routes: Pick<RouteProber, 'results'>,
  coldHash: string,
): Promise<MtaState> {
  const { current, loadError } = runtime.bundles;
  return {
    readableVersions: [bundleVersion],
    mta: runtime.settings.mta,
    bundleHash: current?.index.bundleHash ?? null,
    secretsRevision: current?.index.secretsRevision ?? null,
    coldHash,
    domains: current?.index.domains ?? {},
    routes: current?.index.routes ?? {},
    loadError: loadError ?? null,
    loadedAt: current?.loadedAt ?? null,
    ...(await readiness(runtime, probe)),
    queue: queueSize(runtime),
    legs: runtime.metrics.legCounts(),
    ledger: runtime.ledger.snapshot(),
    domainLedgers: runtime.ledger.byDomain(runtime.now()),
    routeProbes: routes.results(),
    entriesHit: runtime.hits.summarize(runtime.now()),
    tlsFailures: runtime.partnerTls.all(),
    clusterPeers: runtime.clusterPeers.seen(runtime.now()),
  };
}
