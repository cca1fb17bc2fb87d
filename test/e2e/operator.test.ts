// The operator's own pods: which one works, what happens when it dies, and how it is upgraded.
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clientAddresses } from '../cluster/node/addresses.ts';
import { requireProgram } from '../cluster/programs.ts';
import { runCommand } from '../cluster/run-command.ts';
import { waitFor } from '../kubernetes/namespace.ts';
import { waitForVerdict } from '../kubernetes/verdict.ts';
import { kubeconfigOf, kubectl, object, onNode, processOf, Tenant } from './tenant.ts';

const [, guest = ''] = clientAddresses;
const recipient = 'bob@white.example';
const system = ['-n', 'postern-system'];

let white: Tenant;

beforeAll(async () => {
  white = await Tenant.create('white');
  await white.chart('install', {
    settings: { heloName: 'mx.white.example' },
    drain: { preStopSeconds: 6, graceSeconds: 10 },
    objects: {
      routes: { store: { host: clientAddresses[0] } },
      mailDomains: {
        main: {
          domain: 'white.example',
          mailbox: { routeRef: { name: 'store' } },
          recipients: { mode: 'List', addresses: ['bob'] },
        },
      },
      dkimKeys: { signing: { domainRef: { name: 'main' } } },
    },
  });
  await white.wait('maildomain/main');
});

afterAll(async () => {
  await white?.remove();
});

/** Name of the pod that holds the Lease. */
async function leader(): Promise<string> {
  const holder = await kubectl([...system, 'get', 'leases', '-o=jsonpath={.items[*].spec.holderIdentity}']);
  const pods = (await kubectl([...system, 'get', 'pods', '-o=jsonpath={.items[*].metadata.name}'])).split(
    ' ',
  );
  return pods.find((pod) => holder.startsWith(pod)) ?? '';
}

/** How often the Lease changed hands. */
async function transitions(): Promise<number> {
  return Number(await kubectl([...system, 'get', 'leases', '-o=jsonpath={.items[*].spec.leaseTransitions}']));
}

/** Kills the process of a pod on the node: no signal handler runs, nothing is given back. */
async function kill(pod: string): Promise<void> {
  const uid = await kubectl([...system, 'get', 'pod', pod, '-o=jsonpath={.metadata.uid}']);
  await onNode('kill', '-KILL', await processOf(uid));
}

/** Blocks or frees the guest's address, and waits until every pod of the MTA does so. */
async function switchGuest(block: boolean): Promise<void> {
  const addresses = [block ? guest : '203.0.113.1'];
  await white.apply(object('IpAccessList', 'guests', { action: 'Block', allDomains: true, addresses }));
  for (const pod of await white.pods()) {
    const at = { host: pod.address, port: 2525 };
    await waitForVerdict(at, guest, recipient, block ? /^550 5\.7\.1 / : /^250 /);
  }
}

/** resourceVersion of everything that an operator writes in the namespace. */
async function versions(): Promise<string> {
  const version = '{range .items[*]}{.kind}/{.metadata.name}={.metadata.resourceVersion}{"\\n"}{end}';
  return white.kubectl(['get', 'postern,configmaps,secrets,statefulsets', `-o=jsonpath=${version}`]);
}

test('OP2: when the leader is killed another replica takes over, and nothing is made twice', async () => {
  const keys = async () => {
    const names = await white.kubectl(['get', 'secrets', '-o', 'name']);
    return names.split('\n').filter((name) => name.includes('postern-dkim-'));
  };
  await switchGuest(true);
  await white.wait('ipaccesslist/guests', 'Programmed');
  const before = {
    leader: await leader(),
    transitions: await transitions(),
    keys: await keys(),
    versions: await versions(),
  };
  expect(before.leader).not.toBe('');
  expect(before.keys).toHaveLength(1);

  await kill(before.leader);
  // Its pod starts again at once, and has to wait for the Lease like any other.
  await waitFor('the Lease to change hands', transitions, (now) => now > before.transitions, 60_000);
  expect(await versions()).toBe(before.versions);
  await switchGuest(false);
  await white.wait('ipaccesslist/guests', 'Programmed');
  expect(await keys()).toEqual(before.keys);
});

test('OP12: a leader that is deleted gives its Lease back: a change made meanwhile acts', async () => {
  const first = await leader();
  await kubectl([...system, 'delete', 'pod', first, '--wait=false']);
  await switchGuest(true);
  expect(await leader()).not.toBe(first);
});

test('X24: a namespace that is deleted while no operator runs is gone when one does', async () => {
  const leaving = await Tenant.create('leaving');
  await leaving.chart('install', {
    settings: { heloName: 'mx.leaving.example' },
    drain: { preStopSeconds: 6, graceSeconds: 5 },
    objects: {
      routes: { store: { host: clientAddresses[0] } },
      mailDomains: {
        main: {
          domain: 'leaving.example',
          mailbox: { routeRef: { name: 'store' } },
          recipients: { mode: 'List', addresses: ['bob'] },
        },
      },
    },
  });
  await leaving.wait('maildomain/main');
  const finalizers = '-o=jsonpath={.metadata.finalizers}';
  expect(await leaving.kubectl(['get', 'route.postern.dev/store', finalizers])).toContain('postern.dev/');
  await kubectl([...system, 'scale', 'deployment', 'postern', '--replicas=0']);
  try {
    await kubectl([...system, 'wait', '--for=delete', 'pods', '--all', '--timeout=60s']);
    await leaving.remove();
    // Its RoleBinding goes with the rest, and the operator is nobody there when it comes back.
    const left = () => kubectl(['-n', 'leaving', 'get', 'rolebindings,routes.postern.dev', '-o', 'name']);
    await waitFor(
      'all but the Route to be gone',
      left,
      (names) => names === 'route.postern.dev/store\n',
      90_000,
    );
  } finally {
    await kubectl([...system, 'scale', 'deployment', 'postern', '--replicas=2']);
  }
  await kubectl(['wait', '--for=delete', 'namespace/leaving', '--timeout=120s']);
});

test('G6: helm upgrade of the operator, with allowedDomains on: a domain of others is refused when it is applied', async () => {
  const chart = join(import.meta.dirname, '../../charts/postern');
  const upgrade = async (...set: string[]) => {
    const { code, stderr } = await runCommand(requireProgram('helm'), [
      ...['upgrade', 'postern', chart, `--kubeconfig=${kubeconfigOf('admin')}`, '--namespace=postern-system'],
      ...['--reuse-values', '--wait', '--timeout=3m', ...set.map((one) => `--set=${one}`)],
    ]);
    if (code !== 0) throw new Error(stderr);
  };
  await kubectl(['annotate', 'namespace', 'white', 'postern.dev/domains=white.example']);
  const foreign = object('MailDomain', 'foreign', {
    domain: 'other.example',
    mailbox: { routeRef: { name: 'store' } },
  });
  const attempt = () => white.tryKubectl(['apply', '--dry-run=server', '-f', '-'], JSON.stringify(foreign));
  try {
    await upgrade('admissionPolicies.allowedDomains=true', 'logLevel=warn');
    const { stderr } = await waitFor('the refusal', attempt, ({ code }) => code !== 0);
    expect(stderr).toMatch(/may not have other\.example: its annotation postern\.dev\/domains/);
    // The new replicas serve as the old ones did.
    await switchGuest(false);
    await white.wait('maildomain/main');
  } finally {
    // Other files expect the defaults.
    await upgrade('admissionPolicies.allowedDomains=false', 'logLevel=info');
    await waitFor('it to be allowed again', attempt, ({ code }) => code === 0);
  }
});
