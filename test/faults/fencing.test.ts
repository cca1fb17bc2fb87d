// X7: the leader is stopped in the middle of its writes, for longer than its Lease, and wakes up when another leads.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { useControlPlane } from '../cluster/shared.ts';
import { tenant, waitFor } from '../kubernetes/namespace.ts';
import { startOperatorProcess } from '../kubernetes/operator.ts';
import { nthWrite, startFaultProxy } from './proxy.ts';
import { recordFaults } from './record.ts';
import { isStateWrite, World } from './world.ts';

const cluster = useControlPlane({ identities: [tenant] });
let world: World;

beforeAll(async () => {
  world = await World.make(cluster, 'fencing');
}, 90_000);
afterAll(() => world?.stop());

test('X7: a leader that sleeps between two of its writes makes none of the others when it wakes up', {
  timeout: 180_000,
}, async () => {
  await world.rewind();
  const [proxy, otherProxy] = [
    await startFaultProxy(cluster.current),
    await startFaultProxy(cluster.current),
  ];
  const flags = ['--leader-elect', '--namespaces', world.space.name];
  const leader = await startOperatorProcess(world.space, flags, proxy.url);
  const isAtWork = () => leader.lines.some(({ msg }) => msg.includes('is followed'));
  await waitFor('the first to lead', isAtWork, (leads) => leads);
  const other = await startOperatorProcess(world.space, flags, otherProxy.url);
  try {
    // The server has done it; the leader is not to read the answer before it wakes up.
    proxy.inject({
      ...nthWrite(2, isStateWrite),
      fault: { do: 'call', when: 'after', run: () => leader.signal('SIGSTOP') },
    });
    await world.toAfter();
    const written = () => proxy.requests.filter(isStateWrite).length;
    await waitFor('the leader to be stopped', written, (writes) => writes >= 2);
    await waitFor(
      'the other to finish',
      () => world.isAfter(),
      (is) => is,
      60_000,
    );
    const before = written();
    // It is to have the time for another write before it learns that it lost.
    proxy.inject({ match: ({ plural }) => plural === 'leases', fault: { do: 'delay', ms: 4_000 } });
    leader.signal('SIGCONT');
    await waitFor(
      'the old leader to end',
      () => leader.exited,
      (exited) => exited,
    );
    expect(written()).toBe(before);
    // A process looks at its pods every 30 s.
    await world.holds('the other leads', other, undefined, 1);
    recordFaults(proxy.injections);
  } finally {
    await leader.stop();
    await other.stop();
    await proxy.stop();
    await otherProxy.stop();
  }
});
