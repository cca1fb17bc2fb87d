// X5: the public and the secret index of a bundle lie in two objects. The operator ends between the two writes and stays down.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { useControlPlane } from '../cluster/shared.ts';
import { paths } from '../kubernetes/api.ts';
import { Kubelet } from '../kubernetes/kubelet.ts';
import { crdFolder, TestNamespace, tenant, waitFor } from '../kubernetes/namespace.ts';
import { startOperatorIn } from '../kubernetes/operator.ts';
import { waitForVerdict } from '../kubernetes/verdict.ts';
import { mailDomain } from './fixtures.ts';
import { type SeenRequest, startFaultProxy } from './proxy.ts';
import { recordFaults } from './record.ts';

const cluster = useControlPlane({ identities: [tenant] });
let space: TestNamespace;
let kubelet: Kubelet;

beforeAll(async () => {
  await cluster.current.installCrds(crdFolder);
  space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('secrets'));
  kubelet = await Kubelet.start(space.admin, space.name, 'default', 1);
  await kubelet.addPod('mail-0');
}, 60_000);

afterAll(async () => {
  await kubelet?.stop();
  space?.admin.close();
});

const route = {
  apiVersion: 'postern.dev/v1alpha1',
  kind: 'Route',
  metadata: { name: 'relay' },
  spec: { host: 'relay.example.net', tls: { mode: 'Required' }, authSecretRef: { name: 'password' } },
};

const password = (text: string) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  type: 'kubernetes.io/basic-auth',
  metadata: { name: 'password', labels: { 'postern.dev/use': 'route-auth' } },
  stringData: { username: 'postern', password: text },
});

const isIndexWrite = ({ method, path }: SeenRequest) =>
  method === 'PUT' && path.endsWith('/configmaps/postern-default-index');

/** The pod's readiness, as a Service would go by it. */
async function isPodReady(): Promise<boolean> {
  const conditions = (await space.admin.get(paths.core(space.name, 'pods', 'mail-0')))?.status?.[
    'conditions'
  ];
  return (
    Array.isArray(conditions) && conditions.some(({ type, status }) => type === 'Ready' && status === 'True')
  );
}

async function secretIndexes(): Promise<string[]> {
  const stored = await space.admin.get(paths.core(space.name, 'secrets', 'postern-default-secret-index'));
  return Object.keys(stored?.data ?? {});
}

test('X5: a pod that restarts while only the secret index is new serves the last good policy', async () => {
  await space.apply(mailDomain('a', 'a.example'), route, password('first'));
  const proxy = await startFaultProxy(cluster.current);
  const victim = await startOperatorIn(space, { slowPollMs: 200, logLevel: 'silent' }, proxy.url);
  const ended = Promise.withResolvers<void>();
  try {
    await space.waitForCondition('routes', 'relay', 'Programmed', /^True/);
    const [first = 'none', ...others] = await waitFor(
      'one secret index',
      secretIndexes,
      (files) => files.length === 1,
    );
    expect(others).toEqual([]);

    // Ended, for the world, is who never sends another byte.
    const end = () => void proxy.setReachable(false).then(() => ended.resolve());
    proxy.inject({ match: isIndexWrite, fault: { do: 'call', when: 'before', run: end } });
    await space.apply(password('second'));
    await ended.promise;
    const left = await secretIndexes();
    expect(left).toHaveLength(2);
    expect(left).toContain(first);

    await kubelet.removePod('mail-0');
    await kubelet.addPod('mail-0');
    await waitFor('the restarted pod to be ready', isPodReady, (ready) => ready);
    await waitForVerdict(kubelet.smtpOf('mail-0'), '127.0.0.9', 'bob@a.example', /^250/);
    await victim.stop();

    const successor = await startOperatorIn(space, { slowPollMs: 200 });
    try {
      // The old one goes when the pod has told that it has the new one.
      await waitFor(
        'the new secret index alone',
        secretIndexes,
        (files) => files.length === 1 && !files.includes(first),
      );
      await waitForVerdict(kubelet.smtpOf('mail-0'), '127.0.0.9', 'bob@a.example', /^250/);
    } finally {
      await successor.stop();
    }
  } finally {
    await victim.stop();
    await proxy.stop();
  }
  recordFaults(1);
}, 90_000);
