// From `helm install` to verdicts in every pod, for two tenants, in namespaces that admit restricted pods only.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientAddresses, nodeAddress } from '../cluster/node/addresses.ts';
import { verdict, waitForVerdict } from '../kubernetes/verdict.ts';
import { type Sink, startSink } from '../wire/sink.ts';
import { kubectl, kubectlAs, onNode, Tenant } from './tenant.ts';

const [sinkAddress = '', guest = '', spammer = ''] = clientAddresses;
const mtaPort = 2525;

let sink: Sink;
let red: Tenant;
let blue: Tenant;

const values = (domain: string, objects: object = {}) => ({
  settings: { heloName: `mx.${domain}` },
  objects: {
    routes: { store: { host: sinkAddress, port: sink.port, tls: { mode: 'Disabled' } } },
    mailDomains: {
      main: {
        domain,
        mailbox: { routeRef: { name: 'store' } },
        recipients: { mode: 'List', addresses: ['bob'] },
      },
    },
    ...objects,
  },
});

beforeAll(async () => {
  sink = await startSink({ host: sinkAddress });
  [red, blue] = await Promise.all([Tenant.create('red'), Tenant.create('blue')]);
});

afterAll(async () => {
  await Promise.all([red?.remove(), blue?.remove()]);
  await sink?.[Symbol.asyncDispose]();
});

describe('helm install, as the admin of a namespace', () => {
  test('--wait waits: it ends with an error while pods cannot start, and when it ends well every pod is ready', async () => {
    // Nothing of Postern is in the namespace: nobody serves it yet, as docs/install.md says.
    const empty = { settings: { heloName: 'mx.red.example' } };
    await expect(red.chart('install', empty, '--timeout=8s')).rejects.toThrow(
      /not ready|InProgress|context deadline exceeded/,
    );
    expect((await red.pods()).map(({ ready }) => ready)).toEqual([false, false]);

    const block = {
      ipAccessLists: {
        spammers: { action: 'Block', allDomains: true, entries: [{ address: spammer, note: 'ticket 1' }] },
      },
    };
    await Promise.all([
      red.chart('upgrade', values('red.example', block)),
      blue.chart('install', values('blue.example')),
    ]);
    for (const tenant of [red, blue]) {
      expect((await tenant.pods()).map(({ name, ready }) => [name, ready])).toEqual([
        ['mail-0', true],
        ['mail-1', true],
      ]);
    }
  });

  test('ST9: kubectl wait sees Ready on every object, and Programmed', async () => {
    await red.wait('maildomain/main');
    await red.wait('route.postern.dev/store');
    await red.wait('ipaccesslist/spammers');
    await red.wait('ipaccesslist/spammers', 'Programmed');
    await blue.wait('maildomain/main');
  });

  test('G6, B3: every pod of a tenant answers by its policy, and by no other tenant’s', async () => {
    const replies = async (tenant: Tenant, from: string, to: string) => {
      const pods = await tenant.pods();
      return Promise.all(pods.map(({ address }) => verdict({ host: address, port: mtaPort }, from, to)));
    };
    for (const reply of await replies(red, guest, 'bob@red.example')) expect(reply).toMatch(/^250 /);
    for (const reply of await replies(red, spammer, 'bob@red.example'))
      expect(reply).toMatch(/^550 5\.7\.1 .*\(ref [0-9A-Z]{8}\)$/);
    for (const reply of await replies(blue, spammer, 'bob@blue.example')) expect(reply).toMatch(/^250 /);
    for (const reply of await replies(blue, guest, 'bob@red.example')) expect(reply).toMatch(/^550 5\.7\.1 /);
    for (const reply of await replies(red, guest, 'eve@red.example')) expect(reply).toMatch(/^550 5\.1\.1 /);
  });

  test('B3: through a Service of externalTrafficPolicy Local the lists see the client, through a ClusterIP its node', async () => {
    const ipaccesslist = { action: 'Block', allDomains: true, addresses: [spammer] };
    await blue.chart('upgrade', {
      ...values('blue.example', { ipAccessLists: { spammers: ipaccesslist } }),
      service: { type: 'NodePort' },
    });
    await blue.wait('ipaccesslist/spammers');
    const get = (path: string) => blue.kubectl(['get', 'service', 'mail', `-o=jsonpath={${path}}`]);
    const outside = { host: nodeAddress, port: Number(await get('.spec.ports[0].nodePort')) };
    const inside = { host: await get('.spec.clusterIP'), port: 25 };
    const to = 'bob@blue.example';
    await waitForVerdict(outside, spammer, to, /^550 5\.7\.1 /);
    expect(await verdict(outside, guest, to)).toMatch(/^250 /);
    // From outside of the cluster, that is; kube-proxy hides such a client behind the node.
    expect(await verdict(inside, spammer, to)).toMatch(/^250 /);
  });

  test('helm test greets the MTA through its Service, by name', async () => {
    await red.helm('test', 'mail', '--logs', '--timeout=90s');
  });

  test('A1: kubectl get prints what an administrator looks for', async () => {
    expect(await red.kubectl(['get', 'ipaccesslists'])).toMatch(
      /^NAME +ACTION +.*READY.*\nspammers +Block +.*True/,
    );
    expect(await red.kubectl(['get', 'postern'])).toMatch(/maildomain.postern.dev\/main +red\.example +/);
    expect(await kubectl(['explain', 'ipaccesslist.spec.entries.expireTime'])).toContain('FIELD: expireTime');
  });
});

describe('the pods', () => {
  test('are admitted where only restricted pods are, and others are not', async () => {
    const { code, stderr } = await kubectlAs('admin', [
      ...['-n', 'red', 'run', 'other', '--image=postern:test', '--restart=Never'],
    ]);
    expect([code, stderr]).toEqual([1, expect.stringContaining('violates PodSecurity "restricted')]);
    expect(await kubectl(['get', 'namespace', 'postern-system', '-o=jsonpath={.metadata.labels}'])).toContain(
      '"pod-security.kubernetes.io/enforce":"restricted"',
    );
  });

  test('have no API token, a read-only root, and one process under the number of nobody', async () => {
    const script = `
      const { existsSync, writeFileSync } = require('node:fs');
      let written = 'written';
      try { writeFileSync('/opt/postern/x', ''); } catch (error) { written = error.code; }
      console.log(process.getuid(), existsSync('/var/run/secrets/kubernetes.io'), written);`;
    expect(await red.kubectl(['exec', 'mail-0', '--', 'node', '-e', script])).toBe('65532 false EROFS\n');
    const command = await onNode('ps', '-eo', 'uid=,args=');
    expect(command).toMatch(/^ *65532 node \/opt\/postern\/cli\/main\.js mta /m);
  });
});
