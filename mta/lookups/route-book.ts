import type { SecretBundle } from '../../bundle/policy-bundle.ts';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import type { ShardIndex } from '../../bundle/shard-index.ts';
import type { RouteCredentials } from './route-session.ts';

/** What the look-ups read of a loaded bundle. */
export interface RouteBook {
  readonly routes: ReadonlyMap<string, RoutePolicy>;
  readonly secrets: Pick<SecretBundle, 'routeAuth'>;
  readonly index: Pick<ShardIndex, 'routes' | 'secretsRevision'>;
}

/** A Route as it is at one moment. */
export interface DefinedRoute {
  readonly route: RoutePolicy;
  readonly credentials: RouteCredentials | undefined;
  /** Differs as soon as the Route or its credentials do: what was found out about the one does not hold for the other. */
  readonly definition: string;
}

/** @returns undefined if there is no such Route. */
export function findRoute({ routes, secrets, index }: RouteBook, name: string): DefinedRoute | undefined {
  const route = routes.get(name);
  if (route === undefined) return undefined;
  const hash = Object.hasOwn(index.routes, name) ? index.routes[name] : '';
  if (!route.authenticated) return { route, credentials: undefined, definition: `${hash}` };
  const credentials = Object.hasOwn(secrets.routeAuth, name) ? secrets.routeAuth[name] : undefined;
  return { route, credentials, definition: `${hash} ${index.secretsRevision}` };
}
