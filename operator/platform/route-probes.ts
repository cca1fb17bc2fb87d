import type { RouteProbe } from '../../bundle/state.ts';
import type { PodObservation } from '../compile/model.ts';

/**
 * What the pods say of each Route, by Route name. Each pod probes for itself and each must be able to deliver: the first failure
 * speaks, in order of pod names, and if all come through the newest word.
 */
export function worstProbes(pods: readonly PodObservation[]): Record<string, RouteProbe> {
  const worst = new Map<string, RouteProbe>();
  for (const { state } of pods.toSorted((left, right) => (left.name < right.name ? -1 : 1))) {
    if (!state.ok) continue;
    for (const [route, probe] of Object.entries(state.value.routeProbes)) {
      const before = worst.get(route);
      if (before === undefined || isWorse(probe, before)) worst.set(route, probe);
    }
  }
  return Object.fromEntries(worst);
}

function isWorse(probe: RouteProbe, before: RouteProbe): boolean {
  if (probe.reachable !== before.reachable) return before.reachable;
  return probe.reachable && probe.checkedAt > before.checkedAt;
}
