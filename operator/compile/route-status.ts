import type { RouteProbe } from '../../bundle/state.ts';
import type { InboundGateway, MailDomain, ReasonOf, Route } from '../api/index.ts';
import { limits } from '../api/index.ts';
import { allowDeleteAnnotation, allowDeleteValues } from '../api/route.ts';
import { type ConditionInput, condition } from './conditions.ts';
import type { PodObservation, Snapshot } from './model.ts';
import type { Entry } from './objects.ts';
import { routesNamedBy } from './routing.ts';

/** One reference to a Route. */
export interface Use {
  readonly kind: 'MailDomain' | 'InboundGateway';
  readonly name: string;
  readonly field: string;
}

/** All references to Routes, by Route name; of objects that are not accepted, too: deleting the Route would hurt them later. */
export function usesOfRoutes(
  mailDomains: readonly MailDomain[],
  gateways: readonly InboundGateway[],
): ReadonlyMap<string, readonly Use[]> {
  const uses = [
    ...mailDomains.flatMap((object) =>
      routesNamedBy(object).map(({ route, field }) => ({
        route,
        use: { kind: 'MailDomain' as const, name: object.metadata.name, field },
      })),
    ),
    ...gateways.flatMap(({ metadata, spec }) =>
      spec.routeRef === undefined
        ? []
        : [
            {
              route: spec.routeRef.name,
              use: { kind: 'InboundGateway' as const, name: metadata.name, field: 'spec.routeRef' },
            },
          ],
    ),
  ];
  const byRoute = Map.groupBy(uses, ({ route }) => route);
  return new Map([...byRoute].map(([route, found]) => [route, found.map(({ use }) => use)]));
}

/**
 * Routes that must not go: something names them, and they do not say that they may go all the same (R3). What a paused Route says
 * of itself counts as it stands now: a pause holds policy, not whoever wants to delete it.
 */
export function guardedRoutes(
  entries: readonly Entry[],
  uses: ReadonlyMap<string, readonly Use[]>,
): ReadonlySet<string> {
  const released = new Set(
    entries.flatMap(({ written: { kind, metadata } }) =>
      kind === 'Route' && metadata.annotations?.[allowDeleteAnnotation] === allowDeleteValues.atOnce
        ? [metadata.name]
        : [],
    ),
  );
  return new Set([...uses.keys()].filter((route) => !released.has(route)));
}

/** InUse and Reachable. */
export function routeConditions(route: Route, uses: readonly Use[], snapshot: Snapshot): ConditionInput[] {
  const [first] = uses;
  const inUse =
    first === undefined
      ? condition('InUse', 'False', 'Unreferenced', 'Nothing names this Route')
      : condition(
          'InUse',
          'True',
          'Referenced',
          `Named by ${first.kind} ${first.name}${uses.length > 1 ? ` and ${uses.length - 1} more` : ''}`,
        );
  return [inUse, reachable(route.metadata.name, snapshot)];
}

/** The fields of a Route's status. */
export function routeStatusFields(uses: readonly Use[]): Omit<NonNullable<Route['status']>, 'conditions'> {
  const sorted = uses.toSorted((left, right) => (textOf(left) < textOf(right) ? -1 : 1));
  return { usedByCount: uses.length, usedBy: sorted.slice(0, limits.usedBy) };
}

const reasons: Readonly<
  Record<RouteProbe['reason'], Exclude<ReasonOf<'Reachable'>, 'Pending' | 'NotProbed'>>
> = {
  Connected: 'Reachable',
  ConnectFailed: 'ConnectFailed',
  TimedOut: 'ConnectFailed',
  ConnectRejected: 'ConnectRejected',
  AuthRejected: 'AuthRejected',
  TlsFailed: 'TlsFailed',
  NameNotFound: 'HostNotFound',
};

/** What the pods say that tried (theirs is the right vantage point): the first that failed, by name, speaks. */
function reachable(route: string, { observed }: Snapshot): ConditionInput {
  const seen = observed.pods
    .filter(({ ready }) => ready)
    .sort((left, right) => (left.name < right.name ? -1 : 1))
    .flatMap((pod) => probeOf(pod, route));
  const kept = Object.hasOwn(observed.routeProbes, route) ? observed.routeProbes[route] : undefined;
  const probes = seen.length > 0 || kept === undefined ? seen : [{ pod: undefined, probe: kept }];
  const [first] = probes;
  if (first === undefined) return condition('Reachable', 'Unknown', 'NotProbed', 'No pod has tried it');
  const failed = probes.find(({ probe }) => !probe.reachable);
  if (failed === undefined) return condition('Reachable', 'True', 'Reachable', expiry(first.probe));
  const reason = reasons[failed.probe.reason];
  const who = failed.pod === undefined ? '' : `Pod ${failed.pod}: `;
  return condition(
    'Reachable',
    'False',
    reason === 'Reachable' ? 'ConnectFailed' : reason,
    `${who}${failed.probe.detail}`,
  );
}

function probeOf({ name, state }: PodObservation, route: string): { pod: string; probe: RouteProbe }[] {
  const probe =
    state.ok && Object.hasOwn(state.value.routeProbes, route) ? state.value.routeProbes[route] : undefined;
  return probe === undefined ? [] : [{ pod: name, probe }];
}

function expiry({ certificateExpires }: RouteProbe): string {
  if (certificateExpires === undefined) return '';
  return `Its certificate is valid until ${new Date(certificateExpires * 1000).toISOString().slice(0, 10)}`;
}

function textOf({ kind, name, field }: Use): string {
  return `${kind}/${name}/${field}`;
}
