// X5 (Sieve's "intermediate state"): the operator ends between any two of its writes, and whoever comes after it finishes.

import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startChild } from '../cluster/child.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { type KubeObject, paths } from '../kubernetes/api.ts';
import { Kubelet } from '../kubernetes/kubelet.ts';
import { crdFolder, TestNamespace, tenant, waitFor } from '../kubernetes/namespace.ts';
import { startOperatorIn } from '../kubernetes/operator.ts';
import { blockList, dkimKey, mailDomain, renderedPicture, statusPicture } from './fixtures.ts';
import { nthWrite, type SeenRequest, startFaultProxy } from './proxy.ts';

const operatorMain = fileURLToPath(new URL('../../operator/main.ts', import.meta.url));
/** Far more writes than a change can need: reached only if the operator never comes to an end. */
const endlessWrites = 60;

const cluster = useControlPlane({ identities: [tenant] });
let space: TestNamespace;
let kubelet: Kubelet;
let before: unknown[];
let after: unknown[];
let statuses: unknown[];

beforeAll(async () => {
  await cluster.current.installCrds(crdFolder);
  space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('kill'));
  kubelet = await Kubelet.start(space.admin, space.name, 'default', 1);
  await kubelet.addPod('mail-0');
  await space.apply(mailDomain('a', 'a.example'));
  await toBefore();
  await settle();
  before = await renderedPicture(space);
  await toAfter();
  await settle();
  after = await renderedPicture(space);
  statuses = await allStatuses();
}, 90_000);

afterAll(async () => {
  await kubelet?.stop();
  space?.admin.close();
});

const listPath = () => paths.postern(space.name, 'ipaccesslists', 'block');
const keyPath = () => paths.postern(space.name, 'dkimkeys', 'key');
const secretPath = () => paths.core(space.name, 'secrets', 'postern-dkim-key');

/** Made anew each time, so that generations, and with them the bundles, are the same in every round. */
async function replaceList(addresses: string[]): Promise<void> {
  await space.admin.remove(listPath());
  await space.admin.create(paths.postern(space.name, 'ipaccesslists'), blockList('block', addresses));
}

async function toBefore(): Promise<void> {
  await replaceList(['192.0.2.1']);
  await space.admin.remove(keyPath());
  await space.admin.remove(secretPath());
}

async function toAfter(): Promise<void> {
  await replaceList(['192.0.2.2', '192.0.2.3']);
  await space.admin.create(paths.postern(space.name, 'dkimkeys'), dkimKey('key', 'a'));
}

const plurals = ['maildomains', 'ipaccesslists', 'dkimkeys'] as const;

function allStatuses(): Promise<unknown[]> {
  return Promise.all(plurals.map((plural) => statusPicture(space, plural)));
}

async function isReady(plural: string): Promise<boolean> {
  const objects = await space.admin.list(paths.postern(space.name, plural));
  return objects.every(({ status, metadata }) => {
    const conditions = Array.isArray(status?.['conditions']) ? status['conditions'] : [];
    return conditions.some(
      ({ type, status: value, observedGeneration }) =>
        type === 'Ready' && value === 'True' && observedGeneration === metadata.generation,
    );
  });
}

/** Lets an operator work without faults until it has nothing to do. */
async function settle(): Promise<void> {
  const proxy = await startFaultProxy(cluster.current);
  const operator = await startOperatorIn(space, { slowPollMs: 200, logLevel: 'silent' }, proxy.url);
  try {
    let writes = -1;
    let quietSince = performance.now();
    await waitFor(
      'the operator to come to rest',
      async () => {
        const now = proxy.requests.filter(isStateWrite).length;
        if (now !== writes) quietSince = performance.now();
        writes = now;
        const ready = await Promise.all(plurals.map(isReady));
        return ready.every(Boolean) && performance.now() - quietSince > 700;
      },
      (rests) => rests,
      30_000,
    );
  } finally {
    await operator.stop();
    await proxy.stop();
  }
}

/** Events are news, not state. */
function isStateWrite({ kind, plural }: SeenRequest): boolean {
  return kind === 'write' && plural !== 'events';
}

/**
 * One round: an operator ends at its n-th write, another takes over.
 *
 * @returns false if there was no n-th write
 */
async function round(n: number, when: 'before' | 'after'): Promise<boolean> {
  await toAfter();
  const proxy = await startFaultProxy(cluster.current);
  const ended = Promise.withResolvers<true>();
  // Ended, for the world, is who never sends another byte.
  proxy.inject({
    ...nthWrite(n, isStateWrite),
    fault: { do: 'call', when, run: () => void proxy.setReachable(false).then(() => ended.resolve(true)) },
  });
  const victim = await startOperatorIn(space, { slowPollMs: 200, logLevel: 'silent' }, proxy.url);
  const killed = await Promise.race([ended.promise, atRest()]);
  const stopping = victim.stop();
  const key = await space.admin.get(secretPath());

  const successor = await startOperatorIn(space, { slowPollMs: 200 });
  try {
    await waitFor(
      `round ${n} (${when}): the rendered objects`,
      () => renderedPicture(space),
      (now) => isDeepStrictEqual(now, after),
      30_000,
    );
    await waitFor(
      `round ${n} (${when}): the statuses`,
      allStatuses,
      (now) => isDeepStrictEqual(now, statuses),
      30_000,
    );
    if (key !== undefined) expect(await keyOf()).toEqual(key.data);
  } finally {
    await successor.stop();
    await stopping;
    await proxy.stop();
  }
  await expectPair();
  return killed;
}

async function keyOf(): Promise<KubeObject['data'] | undefined> {
  return (await space.admin.get(secretPath()))?.data;
}

/** The key and what status tells people to publish are one pair. */
async function expectPair(): Promise<void> {
  const secret = await space.admin.get(secretPath());
  const object = await space.admin.get(keyPath());
  expect(secret?.metadata.annotations['postern.dev/public-key-sha256']).toBe(
    object?.status?.['publicKeySHA256'],
  );
}

/** All is as it should be: the n-th write will not come. */
async function atRest(): Promise<false> {
  await waitFor(
    'rest',
    async () =>
      isDeepStrictEqual(await renderedPicture(space), after) &&
      isDeepStrictEqual(await allStatuses(), statuses),
    (rests) => rests,
    30_000,
  );
  return false;
}

async function rewind(): Promise<void> {
  await toBefore();
  const operator = await startOperatorIn(space, { slowPollMs: 200 });
  await waitFor(
    'the state before',
    () => renderedPicture(space),
    (now) => isDeepStrictEqual(now, before),
    30_000,
  );
  await waitFor(
    'the status before',
    () => isReady('ipaccesslists'),
    (ready) => ready,
    30_000,
  );
  await operator.stop();
}

for (const when of ['before', 'after'] as const) {
  test(`X5: ended ${when} any of its writes, for each of them: the same end, and one key`, {
    timeout: 240_000,
  }, async () => {
    let writes = 0;
    for (let n = 1; ; n += 1) {
      await rewind();
      if (!(await round(n, when))) break;
      writes = n;
      expect(n).toBeLessThan(endlessWrites);
    }
    // A shard or two, an index, the key, and statuses of three objects: fewer means that the faults did not hit.
    expect(writes).toBeGreaterThanOrEqual(8);
  });
}

test('X5: a real process, SIGKILLed when its key has been stored and before it hears so', async () => {
  await rewind();
  await toAfter();
  const proxy = await startFaultProxy(cluster.current);
  const config = await space.operatorKubeconfig(proxy.url);
  const args = [
    operatorMain,
    '--kubeconfig',
    config,
    '--namespaces',
    space.name,
    '--http',
    '127.0.0.1:0',
    '--log-level',
    'silent',
    '--resolver',
    '127.0.0.1:9',
  ];
  // Without a grace time, stop() is a SIGKILL.
  const child = startChild(process.execPath, args, { name: 'operator' });
  const isKey = ({ method, plural, path }: SeenRequest) =>
    method === 'POST' && plural === 'secrets' && path.endsWith('/secrets');
  proxy.inject({ match: isKey, times: 1, fault: { do: 'call', when: 'after', run: () => child.stop() } });
  try {
    const stored = await waitFor(
      'the key',
      () => space.admin.get(secretPath()),
      (secret) => secret !== undefined,
      30_000,
    );
    await waitFor(
      'the process to be gone',
      () => child.exited,
      (exited) => exited,
    );
    await settle();
    expect(await keyOf()).toEqual(stored?.data);
    await expectPair();
    expect(await renderedPicture(space)).toEqual(after);
  } finally {
    await child.stop();
    await proxy.stop();
  }
});
