// What an API server does to its clients: old answers (X3), lost events (X4), slowness and refusals (X6), rights taken away (X23).
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { kinds } from '../../operator/api/index.ts';
import { namespaceRules } from '../../operator/crd/rbac.ts';
import type { RunningOperator } from '../../operator/operator.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { tenant, waitFor } from '../kubernetes/namespace.ts';
import { reconcilesOf, startOperatorIn } from '../kubernetes/operator.ts';
import { verdict } from '../kubernetes/verdict.ts';
import { type FaultProxy, type SeenRequest, startFaultProxy } from './proxy.ts';
import { recordFaults } from './record.ts';
import { World, worldOptions } from './world.ts';

const cluster = useControlPlane({ identities: [tenant] });
let world: World;
let proxy: FaultProxy;
let running: RunningOperator[];

beforeAll(async () => {
  world = await World.make(cluster, 'api');
}, 90_000);
afterAll(() => world?.stop());
beforeEach(async () => {
  running = [];
  proxy = await startFaultProxy(cluster.current);
  await world.rewind();
});
afterEach(async () => {
  await Promise.all(running.map((operator) => operator.stop()));
  await proxy.stop();
});

/** Starts an operator behind the proxy and waits until it has worked. */
async function startOperator(options: Parameters<typeof startOperatorIn>[1] = {}): Promise<RunningOperator> {
  const operator = await startOperatorIn(
    world.space,
    { ...worldOptions, logLevel: 'silent', ...options },
    proxy.url,
  );
  running.push(operator);
  await reconciled(operator, 1);
  return operator;
}

async function reconciled(operator: RunningOperator, times: number): Promise<void> {
  const before = await reconcilesOf(operator);
  await waitFor(
    `${times} reconciles`,
    () => reconcilesOf(operator),
    (now) => now >= before + times,
  );
}

describe('X3: an API server that lags behind', () => {
  test.each([
    ['all that it lists', () => true],
    ['its list of Secrets', ({ plural }: SeenRequest) => plural === 'secrets'],
  ])(
    'X3: %s is of a time before the key: the key that is there stays, and so does its record',
    async (_what, isStale) => {
      const early = await startOperator();
      await world.toAfter();
      await world.holds('before the fault', early);
      await early.stop();
      running.length = 0;
      const key = await world.key();
      const isLate = (request: SeenRequest) => isStale(request) && !request.path.includes('/leases');
      const heal = [
        proxy.inject({
          match: (request) => request.kind === 'list' && isLate(request),
          fault: { do: 'answerAsBefore' },
        }),
        proxy.inject({
          match: (request) => request.kind === 'watch' && isLate(request),
          fault: { do: 'edit', edit: () => [] },
        }),
      ];
      const operator = await startOperator();
      await reconciled(operator, 5);
      expect(await world.key()).toEqual(key);
      const injections = proxy.injections;
      for (const end of heal) end();
      proxy.cutConnections();
      await world.holds('afterwards', operator, key);
      recordFaults(injections);
    },
  );
});

test('X4: any one event that never comes is healed by the resync, for each of them', {
  timeout: 300_000,
}, async () => {
  let events = 0;
  let lost = 0;
  proxy.inject({
    match: ({ kind }) => kind === 'watch',
    fault: {
      do: 'edit',
      edit(event) {
        if (event.type === 'BOOKMARK') return [event];
        events += 1;
        return events === lost ? [] : [event];
      },
    },
  });
  const operator = await startOperator({ resyncMs: 3_000 });
  do {
    await world.toBefore();
    await world.isBefore();
    events = 0;
    lost += 1;
    await world.toAfter();
    await world.holds(`event ${lost} lost`, operator);
  } while (events >= lost);
  // The list and the key alone are three.
  expect(lost).toBeGreaterThan(5);
  recordFaults(lost - 1);
});

describe('X6: an API server in trouble', () => {
  test('X6: each call takes two seconds longer: the same end, one key', { timeout: 240_000 }, async () => {
    const heal = proxy.inject({ match: ({ kind }) => kind !== 'watch', fault: { do: 'delay', ms: 2_000 } });
    await world.toAfter();
    const operator = await startOperatorIn(world.space, { ...worldOptions, logLevel: 'silent' }, proxy.url);
    running.push(operator);
    await waitFor(
      'the state after',
      () => world.isAfter(),
      (is) => is,
      150_000,
    );
    heal();
    await world.holds('slow', operator);
    recordFaults(proxy.injections);
  });

  test('X6: every tenth call is answered 429, 500 or 504: the same end, one key', {
    timeout: 120_000,
  }, async () => {
    const answers = [
      { code: 429, reason: 'TooManyRequests', retryAfter: 1 },
      { code: 500, reason: 'InternalError' },
      { code: 504, reason: 'Timeout' },
    ] as const;
    let calls = 0;
    for (const [turn, answer] of answers.entries()) {
      const match = () => {
        // The first rule counts for all.
        if (turn === 0) calls += 1;
        return calls % 30 === 10 * turn;
      };
      proxy.inject({ match, fault: { do: 'refuse', ...answer } });
    }
    await world.toAfter();
    const operator = await startOperator();
    await world.holds('refused', operator);
    expect(proxy.requests.length).toBeGreaterThan(30);
    recordFaults(Math.floor(30 / 10));
  });

  test('X6: a storm of conflicts: the first write of each object is answered 409', {
    timeout: 120_000,
  }, async () => {
    const stormy = new Set<string>();
    proxy.inject({
      match: ({ kind, method, path, plural }) => {
        if (kind !== 'write' || method === 'POST' || plural === 'events' || stormy.has(path)) return false;
        stormy.add(path);
        return true;
      },
      fault: { do: 'refuse', code: 409, reason: 'Conflict' },
    });
    await world.toAfter();
    const operator = await startOperator();
    await world.holds('conflicts', operator);
    expect(stormy.size).toBeGreaterThanOrEqual(4);
    recordFaults(stormy.size);
  });
});

test('X8: two operators that both think they lead: one end, one key, and neither writes any more', async () => {
  const [one, other] = [await startOperator(), await startOperator()];
  await world.toAfter();
  await world.holds('two leaders', one);
  await world.holds('two leaders', other, await world.key());
  recordFaults(1);
});

describe('X23: a right is taken away', () => {
  const role = () =>
    `/apis/rbac.authorization.k8s.io/v1/namespaces/${world.space.name}/roles/postern-operator`;

  async function grant(left: (resource: string, verb: string) => boolean): Promise<void> {
    const rules = namespaceRules(kinds).flatMap(({ apiGroups, resources, verbs }) =>
      resources.map((resource) => ({
        apiGroups,
        resources: [resource],
        verbs: verbs.filter((verb) => left(resource, verb)),
      })),
    );
    await world.space.admin.mergePatch(role(), { rules: rules.filter(({ verbs }) => verbs.length > 0) });
  }

  /** Waits until the API server refuses it: it takes the role in by a watch of its own. */
  async function revoke(group: string, resource: string, verb: string): Promise<void> {
    await grant((one, action) => one !== resource || action !== verb);
    const [plural, subresource] = resource.split('/');
    const user = `system:serviceaccount:${world.space.name}:postern-operator`;
    const resourceAttributes = { namespace: world.space.name, group, resource: plural, subresource, verb };
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user, resourceAttributes },
    };
    await waitFor(
      `no right to ${verb} ${resource}`,
      () => world.space.admin.create('/apis/authorization.k8s.io/v1/subjectaccessreviews', review),
      ({ status }) => status?.['allowed'] === false,
    );
  }

  afterEach(() => grant(() => true));

  const wait = (plural: string, name: string, type: string, expected: RegExp) =>
    world.space.waitForCondition(plural, name, type, expected);

  test.each([
    ['create', 'secrets', 'dkimkeys', 'key', 'KeyGenerated'],
    ['update', 'configmaps', 'ipaccesslists', 'block', 'Programmed'],
    ['patch', 'pods', 'ipaccesslists', 'block', 'Programmed'],
  ] as const)(
    'X23: without %s of %s the condition says so, and the rest goes on',
    async (verb, resource, plural, name, type) => {
      const operator = await startOperator();
      await revoke('', resource, verb);
      await world.toAfter();
      await wait(
        plural,
        name,
        type,
        new RegExp(`^False/WriteRefused: .*cannot ${verb} resource "${resource}"`),
      );
      // What needs no such right.
      if (type === 'KeyGenerated') await wait('ipaccesslists', 'block', 'Ready', /^True/);
      else await wait('dkimkeys', 'key', 'KeyGenerated', /^True/);
      expect(await verdict(world.kubelet.smtpOf('mail-0'), '127.0.2.9', 'bob@a.example')).toMatch(/^250 /);
      await grant(() => true);
      await world.holds('with the right again', operator);
      recordFaults(1);
    },
  );

  test('X23: without the right to write statuses of one kind the other kinds have theirs, and the policy acts', async () => {
    const operator = await startOperator();
    await revoke('postern.dev', 'ipaccesslists/status', 'patch');
    await world.toAfter();
    await wait('dkimkeys', 'key', 'KeyGenerated', /^True/);
    await waitFor(
      'the list to act',
      () => verdict(world.kubelet.smtpOf('mail-0'), '127.0.2.2', 'bob@a.example'),
      (reply) => reply.startsWith('550 5.7.1 '),
    );
    expect(await world.space.condition('ipaccesslists', 'block', 'Ready')).toBe(
      'Unknown/Pending: Waiting for the operator',
    );
    await grant(() => true);
    await world.holds('with the right again', operator);
    recordFaults(1);
  });
});
