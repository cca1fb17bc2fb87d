import type { RoutePolicy } from '../../bundle/route-policy.ts';

/** A Route to a port of this machine: plain SMTP with whatever TLS is offered, and what `over` makes of it. */
export function route(name: string, port: number, over: Partial<RoutePolicy> = {}): RoutePolicy {
  return {
    name,
    source: { kind: 'Route', name, generation: 1 },
    host: '127.0.0.1',
    port,
    protocol: 'SMTP',
    lookupMx: false,
    tls: { mode: 'Opportunistic', verify: 'None' },
    authenticated: false,
    connection: { maxConcurrent: 10, timeoutSeconds: 20 },
    ...over,
  };
}
