import type { MtaState } from './state.ts';

// What a pod says, for tests: a plain answer, with what the test is about on top.

/** A ready pod of the MTA `default` that has loaded nothing, queues nothing and has lost nothing. */
export function mtaStateOf(over: Partial<MtaState> = {}): MtaState {
  return {
    readableVersions: [1],
    mta: 'default',
    bundleHash: null,
    secretsRevision: null,
    coldHash: '',
    domains: {},
    routes: {},
    loadError: null,
    loadedAt: null,
    ready: true,
    readyReason: 'Ready',
    queue: { size: 0, deferred: 0 },
    ledger: { suppressedNdrs: 0, backscatterAvoided: 0, doubleBounces: 0, expired: 0 },
    routeProbes: {},
    ...over,
  };
}
