// X5 (Sieve's "intermediate state"): the operator ends between any two of its writes, and whoever comes after it finishes.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { useControlPlane } from '../cluster/shared.ts';
import { tenant, waitFor } from '../kubernetes/namespace.ts';
import { startOperatorIn, startOperatorProcess } from '../kubernetes/operator.ts';
import { renderedPicture } from './fixtures.ts';
import { nthWrite, type SeenRequest, startFaultProxy } from './proxy.ts';
import { recordFaults } from './record.ts';
import { isStateWrite, World, worldOptions } from './world.ts';

/** Far more writes than a change can need: reached only if the operator never comes to an end. */
const endlessWrites = 60;

const cluster = useControlPlane({ identities: [tenant] });
let world: World;

beforeAll(async () => {
  world = await World.make(cluster, 'kill');
}, 90_000);

afterAll(() => world?.stop());

/**
 * One round: an operator ends at its n-th write, another takes over.
 *
 * @returns false if there was no n-th write
 */
async function round(n: number, when: 'before' | 'after'): Promise<boolean> {
  await world.toAfter();
  const proxy = await startFaultProxy(cluster.current);
  const ended = Promise.withResolvers<true>();
  // Ended, for the world, is who never sends another byte.
  proxy.inject({
    ...nthWrite(n, isStateWrite),
    fault: { do: 'call', when, run: () => void proxy.setReachable(false).then(() => ended.resolve(true)) },
  });
  const victim = await startOperatorIn(world.space, { ...worldOptions, logLevel: 'silent' }, proxy.url);
  const killed = await Promise.race([ended.promise, atRest()]);
  const stopping = victim.stop();
  const key = await world.key();

  const successor = await startOperatorIn(world.space, worldOptions);
  try {
    await world.holds(`round ${n} (${when})`, successor, key);
  } finally {
    await successor.stop();
    await stopping;
    await proxy.stop();
  }
  return killed;
}

/** All is as it should be: the n-th write will not come. */
async function atRest(): Promise<false> {
  await waitFor(
    'rest',
    () => world.isAfter(),
    (rests) => rests,
    30_000,
  );
  return false;
}

for (const when of ['before', 'after'] as const) {
  test(`X5: ended ${when} any of its writes, for each of them: the same end, and one key`, {
    timeout: 240_000,
  }, async () => {
    let writes = 0;
    for (let n = 1; ; n += 1) {
      await world.rewind();
      if (!(await round(n, when))) break;
      writes = n;
      expect(n).toBeLessThan(endlessWrites);
    }
    // A shard or two, an index, the key, and statuses of three objects: fewer means that the faults did not hit.
    expect(writes).toBeGreaterThanOrEqual(8);
    recordFaults(writes);
  });
}

test('X5: a real process, SIGKILLed when its key has been stored and before it hears so', async () => {
  await world.rewind();
  await world.toAfter();
  const proxy = await startFaultProxy(cluster.current);
  const flags = ['--namespaces', world.space.name, '--log-level', 'silent'];
  const child = await startOperatorProcess(world.space, flags, proxy.url);
  const isKey = ({ method, plural, path }: SeenRequest) =>
    method === 'POST' && plural === 'secrets' && path.endsWith('/secrets');
  proxy.inject({ match: isKey, times: 1, fault: { do: 'call', when: 'after', run: () => child.stop() } });
  try {
    const stored = await waitFor(
      'the key',
      () => world.key(),
      (key) => key !== undefined,
      30_000,
    );
    await waitFor(
      'the process to be gone',
      () => child.exited,
      (exited) => exited,
    );
    await world.settle();
    expect(await world.key()).toEqual(stored);
    await world.expectPair();
    expect(await renderedPicture(world.space)).toEqual(world.pictures.after);
    recordFaults(proxy.injections);
  } finally {
    await child.stop();
    await proxy.stop();
  }
});
