// Addresses of the cluster where clients should be: such entries are kept out, such mail is noticed, and settings can trust them.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunningOperator } from '../../operator/operator.ts';
import { postern } from '../cli/run.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { paths } from './api.ts';
import { Kubelet } from './kubelet.ts';
import { crdFolder, TestNamespace, tenant } from './namespace.ts';
import { startOperatorIn } from './operator.ts';
import { verdict, waitForVerdict } from './verdict.ts';

const cluster = useControlPlane({ identities: [tenant] });
let space: TestNamespace;
let kubelet: Kubelet;
let operator: RunningOperator;

/** The nodes of this cluster, as far as the operator is told. */
const nodes = '127.0.7.0/24';
const node = '127.0.7.1';
const client = '127.0.8.1';

beforeAll(async () => {
  await cluster.current.installCrds(crdFolder);
  space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('guard'));
  kubelet = await Kubelet.start(space.admin, space.name, 'default', 1);
  await kubelet.addPod('mail-0');
  operator = await startOperatorIn(space, { slowPollMs: 400, clusterRanges: [nodes] });
  const object = (kind: string, name: string, spec: object) => ({
    apiVersion: 'postern.dev/v1alpha1',
    kind,
    metadata: { name },
    spec,
  });
  await space.apply(
    object('MailDomain', 'here', {
      domain: 'here.example',
      mailbox: { maildir: {} },
      recipients: { mode: 'List', addresses: ['bob'] },
    }),
    object('IpAccessList', 'spammers', {
      action: 'Block',
      domainRefs: [{ name: 'here' }],
      addresses: [node, client],
    }),
  );
});

afterAll(async () => {
  await operator?.stop();
  await kubelet?.stop();
  space?.admin.close();
});

const smtp = () => kubelet.smtpOf('mail-0');

test('G14: an entry over node addresses is not programmed, and the others of its list are', async () => {
  const said = await space.waitForCondition(
    'ipaccesslists',
    'spammers',
    'Programmed',
    /^False\/RangeNotTrusted/,
  );
  expect(said).toContain(node);
  await space.waitForCondition('maildomains', 'here', 'Ready', /^True/);
  await waitForVerdict(smtp(), client, 'bob@here.example', /^550 5\.7\.1 /);
});

test('G14: the commands judge a namespace by the addresses that its operator was told', async () => {
  const source = ['-n', space.name, '--kubeconfig', await cluster.current.kubeconfigFor('admin')];
  const ask = async (ip: string) => {
    const mail = ['--client-ip', ip, '--mail-from', 'a@b.example', '--rcpt', 'bob@here.example'];
    const { out, err } = await postern('explain', ...source, ...mail, '-o', 'json');
    expect(err).toBe('');
    return JSON.parse(out).recipients[0].verdict;
  };
  // What the MTA answers is in the other tests.
  expect(await ask(client)).toBe('reject');
  expect(await ask(node)).toBe('accept');
  const lint = await postern('lint', ...source);
  expect(lint.out).toContain(`IpAccessList/spammers: Programmed: RangeNotTrusted: ${node}`);
  expect(lint.out).not.toContain('Ready: RangeNotTrusted');
  expect(lint.code).toBe(1);
  const { out } = await postern('render', ...source, '-o', 'json');
  const config = await space.admin.get(paths.core(space.name, 'configmaps', 'postern-default-config'));
  expect(JSON.parse(out).mtas[0].files['config/mta.json']).toBe(config?.data['mta.json']);
});

test('G14: mail from a node address is noticed', async () => {
  expect(await space.condition('maildomains', 'here', 'ClientIPNotPreserved')).toBe('none');
  expect(await verdict(smtp(), node, 'bob@here.example')).toMatch(/^250 /);
  const said = await space.waitForCondition('maildomains', 'here', 'ClientIPNotPreserved', /^True/);
  // A status is no place for addresses of clients.
  expect(said).not.toContain(node);
  await space.waitForCondition('ipaccesslists', 'spammers', 'ClientIPNotPreserved', /^True/);
});

test('G14: trustedRanges of the MTA let the entry act', async () => {
  await space.admin.mergePatch(paths.core(space.name, 'configmaps', 'postern-mta-default'), {
    data: { 'mta.yaml': `heloName: mx.example.com\ntrustedRanges: [${nodes}]\n` },
  });
  await waitForVerdict(smtp(), node, 'bob@here.example', /^550 5\.7\.1 /);
  await space.waitForCondition('ipaccesslists', 'spammers', 'Programmed', /^True/);
});
