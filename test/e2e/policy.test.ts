// What the cluster refuses and what status says, seen by a tenant on a real node.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../charts/install.ts';
import { clientAddresses } from '../cluster/node/addresses.ts';
import { verdict, waitForVerdict } from '../kubernetes/verdict.ts';
import { operatorUser } from './setup.ts';
import { anna, kubectl, kubectlAs, type MtaPod, object, onNode, processOf, Tenant } from './tenant.ts';

const [, guest = '', , stranger = ''] = clientAddresses;
const mtaPort = 2525;
const recipient = 'bob@grey.example';

let grey: Tenant;

beforeAll(async () => {
  grey = await Tenant.create('grey', { 'postern.dev/domains': 'grey.example,*.grey.example' });
  await grey.chart('install', {
    settings: { heloName: 'mx.grey.example' },
    drain: { preStopSeconds: 6, graceSeconds: 10 },
    objects: {
      routes: { store: { host: clientAddresses[0] }, spare: { host: clientAddresses[0] } },
      mailDomains: {
        main: {
          domain: 'grey.example',
          mailbox: { routeRef: { name: 'store' } },
          recipients: { mode: 'List', addresses: ['bob'] },
        },
      },
    },
  });
  await grey.wait('maildomain/main');
});

afterAll(async () => {
  await grey?.remove();
});

const mta = (pod: MtaPod) => ({ host: pod.address, port: mtaPort });

/**
 * Shows a pod its policy as it is now, whatever kubelet writes, until the returned function is called. (A volume that kubelet cannot
 * write to would be taken from the pod for good.)
 */
async function holdBack(pod: MtaPod): Promise<() => Promise<void>> {
  const inPod = ['nsenter', '--target', await processOf(pod.uid), '--mount', '--', 'sh', '-c'];
  await onNode(...inPod, 'cp -a /etc/postern/policy /tmp/held && mount --bind /tmp/held /etc/postern/policy');
  return async () => {
    await onNode(...inPod, 'umount /etc/postern/policy');
  };
}

test('G7: while one pod cannot get the policy, Programmed is False and names it; when it can, all is true', async () => {
  const [first, second] = await grey.pods();
  if (first === undefined || second === undefined) throw new Error('two pods were expected');
  const release = await holdBack(second);
  try {
    await grey.apply(
      object('IpAccessList', 'strangers', { action: 'Block', allDomains: true, addresses: [stranger] }),
    );
    await waitForVerdict(mta(first), stranger, recipient, /^550 5\.7\.1 /);
    const text = await grey.waitForCondition(
      'ipaccesslist/strangers',
      'Programmed',
      /^False\/PartiallyProgrammed/,
    );
    expect(text).toContain(second.name);
    expect(text).not.toContain(first.name);
    expect(await verdict(mta(second), stranger, recipient)).toMatch(/^250 /);
  } finally {
    await release();
  }
  // The operator has given up telling it: its own look at the files, every half a minute, finds them.
  await waitForVerdict(mta(second), stranger, recipient, /^550 5\.7\.1 /, 60_000);
  await grey.wait('ipaccesslist/strangers', 'Programmed');
});

describe('what is refused', () => {
  test('R3: a Route in use is not deleted, an unused one is', async () => {
    // The chart lets its Routes go together with their users.
    await grey.kubectl(['annotate', 'route.postern.dev/store', 'postern.dev/allow-delete-']);
    const { code, stderr } = await grey.tryKubectl(['delete', 'route.postern.dev/store']);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/Route "?store"?.*MailDomain "?main"?/)]);
    await grey.kubectl(['delete', 'route.postern.dev/spare']);
  });

  test('G6: a domain that the namespace may not have is no domain of its MTA, and its tenant cannot allow it', async () => {
    await grey.apply(
      object('MailDomain', 'foreign', {
        domain: 'other.example',
        mailbox: { routeRef: { name: 'store' } },
        recipients: { mode: 'List', addresses: ['bob'] },
      }),
    );
    await grey.waitForCondition('maildomain/foreign', 'Accepted', /^False\/DomainNotAllowed/);
    const [pod] = await grey.pods();
    if (pod === undefined) throw new Error('no pod');
    expect(await verdict(mta(pod), guest, 'bob@other.example')).toMatch(/^550 5\.7\.1 /);
    const { code, stderr } = await kubectlAs(anna, [
      ...['annotate', 'namespace', 'grey', 'postern.dev/domains=other.example', '--overwrite'],
    ]);
    expect([code, stderr]).toEqual([1, expect.stringContaining('forbidden')]);
    expect(await verdict(mta(pod), guest, recipient)).toMatch(/^250 /);
    await grey.kubectl(['delete', 'maildomain/foreign']);
  });

  test('the token of the operator changes no image, starts no process and reads no Secret of others', async () => {
    const token = (await kubectl(['-n', 'postern-system', 'create', 'token', 'postern'])).trim();
    const asOperator = (...args: string[]) => kubectlAs('nobody', [`--token=${token}`, ...args]);
    const who = await asOperator('auth', 'whoami', '-o=jsonpath={.status.userInfo.username}');
    expect(who.stdout).toBe(operatorUser);

    const image = (...path: string[]) => {
      const containers = { containers: [{ name: 'mta', image: 'evil:1' }] };
      return JSON.stringify(path.reduceRight<object>((inner, key) => ({ [key]: inner }), containers));
    };
    const [pod] = await grey.pods();
    const attempts = [
      ['patch', 'statefulset/mail', '-p', image('spec', 'template', 'spec')],
      ['patch', `pod/${pod?.name}`, '-p', image('spec')],
      ['patch', 'statefulset/mail', '--type=merge', '-p', '{"spec":{"replicas":9}}'],
      ['exec', pod?.name ?? '', '--', 'node', '--version'],
      ['delete', 'pod', pod?.name ?? ''],
      ['create', 'token', 'default'],
    ];
    for (const attempt of attempts) {
      const { code, stderr } = await asOperator('-n', 'grey', ...attempt);
      expect([attempt.join(' '), code, stderr]).toEqual([
        attempt.join(' '),
        1,
        expect.stringMatching(/operator may (do|change) nothing|forbidden/i),
      ]);
    }
    const foreign = await asOperator('-n', 'kube-system', 'get', 'secrets');
    expect([foreign.code, foreign.stderr]).toEqual([1, expect.stringContaining('forbidden')]);
    const images = '{range .items[*]}{.spec.containers[0].image} {end}';
    expect(await grey.kubectl(['get', 'pods', `-o=jsonpath=${images}`])).not.toContain('evil');
  });
});

describe('who may do what', () => {
  const namespaced = ['-n', 'grey'];
  const elsewhere = ['-n', 'default'];
  const mtaUser = 'system:serviceaccount:grey:mail';
  const table: readonly (readonly [who: string, may: boolean, what: string, where: readonly string[]])[] = [
    [anna, true, 'create maildomains.postern.dev', namespaced],
    [anna, true, 'delete dkimkeys.postern.dev', namespaced],
    [anna, false, 'update maildomains.postern.dev --subresource=status', namespaced],
    [anna, false, 'create maildomains.postern.dev', elsewhere],
    [anna, false, 'patch namespaces', namespaced],
    ['viktor', true, 'list ipaccesslists.postern.dev', namespaced],
    ['viktor', false, 'delete ipaccesslists.postern.dev', namespaced],
    ['viktor', false, 'get secrets', namespaced],
    [operatorUser, true, 'list maildomains.postern.dev', elsewhere],
    [operatorUser, true, 'get secrets', namespaced],
    [operatorUser, false, 'get secrets', elsewhere],
    [operatorUser, false, 'list pods', elsewhere],
    [operatorUser, false, 'create pods', namespaced],
    [operatorUser, false, 'create pods --subresource=exec', namespaced],
    [operatorUser, false, 'update statefulsets.apps', namespaced],
    [operatorUser, false, 'update maildomains.postern.dev', namespaced],
    [operatorUser, false, '* *', namespaced],
    [mtaUser, false, 'get secrets', namespaced],
    [mtaUser, false, 'list maildomains.postern.dev', namespaced],
  ];

  beforeAll(async () => {
    await kubectl(['-n', 'grey', 'create', 'rolebinding', 'view', '--clusterrole=view', '--user=viktor']);
  });

  test.each(table)('G4: %s: %s to %s %s', async (who, may, what, where) => {
    const ask = () =>
      kubectlAs('admin', [
        'auth',
        'can-i',
        ...what.split(' '),
        ...where,
        `--as=${who}`,
        '--as-group=tenants',
      ]);
    // The authorizer hears of a new binding a moment later.
    const { stdout } = await eventually(`${who}: ${what}`, ask, ({ code }) => (code === 0) === may);
    expect(stdout.trim()).toBe(may ? 'yes' : 'no');
  });
});
