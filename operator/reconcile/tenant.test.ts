import { describe, expect, it } from 'vitest';
import type { MtaPolicy, Snapshot, Translation, Want } from '../compile/model.ts';
import type { Platform, RenderedMta } from '../platform/platform.ts';
import { HeldObjects } from './held-objects.ts';
import { reconcileTenant, type TenantDeps } from './tenant.ts';

const empty: Translation = { mtas: [], statuses: [], wants: [] };

function snapshot(): Snapshot {
  return {
    namespace: 'acme',
    objects: [],
    secrets: [],
    configMaps: [],
    mtas: [],
    observed: { pods: [], dkim: [], routeProbes: {} },
    now: 0,
    options: { clusterDomain: 'cluster.local', allowedRouteRanges: [] },
  };
}

function policyOf(mta: string): MtaPolicy {
  return {
    mta,
    bundle: { version: 1, namespace: 'acme', mta, domains: [], audited: [], lists: [], routes: [] },
    secrets: { version: 1, routeAuth: {}, accounts: {}, dkimKeys: {} },
    secretRevisions: {},
    hashes: { domains: {}, routes: {} },
    settings: {
      heloName: 'mx.example.com',
      egressAddresses: [],
      maxMessageBytes: 1_000_000,
      queueLifetimeSeconds: 3_600,
      retryIntervalsSeconds: [60],
      perDestinationConcurrency: 1,
      proxyProtocolFrom: [],
      trustedRanges: [],
      resolvers: [],
      internalMxRanges: [],
      workers: 0,
    },
  };
}

function rendered({ mta }: MtaPolicy): RenderedMta {
  const none = new Map<string, never>();
  return { mta, bundleHash: '', coldHash: '', publicFiles: none, secretFiles: none, coldFiles: none };
}

/** A platform that writes down what it is asked to do, and fails where it is told to. */
function recordingPlatform(calls: string[], failing: readonly string[] = []): Platform {
  const act = async (call: string): Promise<void> => {
    calls.push(call);
    if (failing.includes(call)) throw new Error(`${call} failed`);
  };
  return {
    snapshot: async () => {
      calls.push('snapshot');
      return snapshot();
    },
    deliver: (_, { mta }) => act(`deliver ${mta}`),
    report: (_, statuses) => act(`report ${statuses.length}`),
    createKeyOnce: (_, { secretName }, key) => act(`createKey ${secretName} ${key}`),
    rememberVerified: (_, { dkimKey }) => act(`remember ${dkimKey}`),
    publishRecord: (_, { kind, name }) => act(`${kind} ${name}`),
    setKeyFinalizer: (_, dkimKey, present) => act(`finalizer ${dkimKey} ${present}`),
    retireKey: (_, secretName, deleteAfter) => act(`retire ${secretName} ${deleteAfter}`),
    deleteKey: (_, { secretName, revision }) => act(`delete ${secretName} ${revision}`),
    setRouteFinalizer: (_, route, present) => act(`finalizer ${route} ${present}`),
    recordDkim: () => undefined,
    recordMailDns: () => undefined,
  };
}

function deps(translate: (round: number) => Translation, more: Partial<TenantDeps> = {}): TenantDeps {
  let round = 0;
  return {
    compile: () => {
      round += 1;
      return translate(round);
    },
    render: rendered,
    held: new HeldObjects(),
    now: () => 1_000,
    checkDkim: () => undefined,
    checkMailDns: () => undefined,
    generateKey: async () => ({ key: 'PEM' }),
    signal: new AbortController().signal,
    ...more,
  };
}

const createKey: Want = {
  kind: 'createKey',
  dkimKey: 'mail',
  domain: 'example.com',
  selector: 'postern',
  algorithm: 'RSA',
  bits: 2048,
  secretName: 'postern-dkim-mail',
};

function checkDkim(due: number): Want {
  return {
    kind: 'checkDkim',
    dkimKey: 'mail',
    host: 'postern._domainkey.example.com',
    value: 'v=DKIM1',
    publicKeySHA256: 'ab',
    scope: 'Authoritative',
    due,
  };
}

function checkMailDns(mailDomain: string, due: number): Want {
  const question = { domain: 'a.test', heloName: 'mx.a.test', senders: [], question: 'q' };
  return { kind: 'checkMailDns', mailDomain, ...question, due };
}

describe('reconcileTenant', () => {
  it('delivers every MTA, then reports, in one round when nothing is wanted', async () => {
    const calls: string[] = [];
    const outcome = await reconcileTenant(
      'acme',
      recordingPlatform(calls),
      deps(() => ({ ...empty, mtas: [policyOf('a'), policyOf('b')] })),
    );
    expect(calls).toEqual(['snapshot', 'deliver a', 'deliver b', 'report 0']);
    expect(outcome).toEqual({});
  });

  it('compiles again after a key was made, and makes it once though it is still wanted', async () => {
    const calls: string[] = [];
    await reconcileTenant(
      'acme',
      recordingPlatform(calls),
      deps(() => ({ ...empty, wants: [createKey] })),
    );
    expect(calls).toEqual([
      'snapshot',
      'report 0',
      'createKey postern-dkim-mail PEM',
      'snapshot',
      'report 0',
    ]);
  });

  it('ends although new keys are wanted in every round', async () => {
    const calls: string[] = [];
    const endless = (round: number): Translation => ({
      ...empty,
      wants: [{ ...createKey, secretName: `key-${round}` }],
    });
    await reconcileTenant('acme', recordingPlatform(calls), deps(endless));
    expect(calls.filter((call) => call === 'snapshot')).toHaveLength(4);
  });

  it('an MTA that cannot be served keeps neither the others nor the statuses back, and the failure is told', async () => {
    const calls: string[] = [];
    const run = reconcileTenant(
      'acme',
      recordingPlatform(calls, ['deliver a']),
      deps(() => ({ ...empty, mtas: [policyOf('a'), policyOf('b')] })),
    );
    await expect(run).rejects.toThrow('namespace acme: deliver a failed');
    expect(calls).toEqual(['snapshot', 'deliver a', 'deliver b', 'report 0']);
  });

  it('starts the checks that are due, and asks to be called again for those that are not', async () => {
    const started: number[] = [];
    const translation = {
      ...empty,
      wants: [checkDkim(500), checkDkim(7_000), { kind: 'recompile', due: 9_000 } as const],
    };
    const outcome = await reconcileTenant(
      'acme',
      recordingPlatform([]),
      deps(() => translation, { checkDkim: (_, { due }) => started.push(due) }),
    );
    expect(started).toEqual([500]);
    expect(outcome).toEqual({ nextDue: 7_000 });
  });

  it('D3, O5, K11: the same holds for looks at the records of domains', async () => {
    const started: string[] = [];
    const outcome = await reconcileTenant(
      'acme',
      recordingPlatform([]),
      deps(() => ({ ...empty, wants: [checkMailDns('now', 1_000), checkMailDns('later', 5_000)] }), {
        checkMailDns: (_, { mailDomain }) => started.push(mailDomain),
      }),
    );
    expect(started).toEqual(['now']);
    expect(outcome).toEqual({ nextDue: 5_000 });
  });

  it('a moment to compile again that has passed means now, never the past', async () => {
    const wants: Want[] = [{ kind: 'recompile', due: 3 }];
    const outcome = await reconcileTenant(
      'acme',
      recordingPlatform([]),
      deps(() => ({ ...empty, wants })),
    );
    expect(outcome).toEqual({ nextDue: 1_000 });
  });

  it('K16, R3: notes on Secrets and Routes are passed on and begin no new round', async () => {
    const calls: string[] = [];
    const wants: Want[] = [
      { kind: 'routeFinalizer', route: 'old', present: true },
      { kind: 'rememberVerified', dkimKey: 'mail', secretName: 's', verifiedTime: '2026-01-01T00:00:00Z' },
    ];
    await reconcileTenant(
      'acme',
      recordingPlatform(calls),
      deps(() => ({ ...empty, wants })),
    );
    expect(calls).toEqual(['snapshot', 'report 0', 'finalizer old true', 'remember mail']);
  });

  it('does nothing once it is to stop', async () => {
    const calls: string[] = [];
    const run = reconcileTenant(
      'acme',
      recordingPlatform(calls),
      deps(() => empty, { signal: AbortSignal.abort() }),
    );
    await expect(run).rejects.toThrow();
    expect(calls).toEqual([]);
  });
});
