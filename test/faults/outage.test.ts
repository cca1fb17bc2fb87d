// X1: the API server goes away and comes back. Mail flows on, and what was declared meanwhile acts afterwards.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kinds } from '../../operator/api/index.ts';
import type { RunningOperator } from '../../operator/operator.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { Kubelet } from '../kubernetes/kubelet.ts';
import { crdFolder, TestNamespace, tenant, waitFor } from '../kubernetes/namespace.ts';
import { reconcilesOf, startOperatorIn } from '../kubernetes/operator.ts';
import { verdict, waitForVerdict } from '../kubernetes/verdict.ts';
import { blockList, dkimKey, mailDomain, renderedPicture } from './fixtures.ts';
import { type FaultProxy, startFaultProxy } from './proxy.ts';
import { recordFaults } from './record.ts';

const outages = 2;
const sessionsPerOutage = 25;

const cluster = useControlPlane({ identities: [tenant] });
let space: TestNamespace;
let kubelet: Kubelet;
let operator: RunningOperator;
let proxy: FaultProxy;

beforeAll(async () => {
  await cluster.current.installCrds(crdFolder);
  space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('outage'));
  proxy = await startFaultProxy(cluster.current);
  kubelet = await Kubelet.start(space.admin, space.name, 'default', 1);
  await kubelet.addPod('mail-0');
  operator = await startOperatorIn(space, { slowPollMs: 300, logLevel: 'silent' }, proxy.url);
  await space.apply(mailDomain('a', 'a.example'), dkimKey('key', 'a'), blockList('block', ['127.0.1.100']));
  await space.waitForCondition('ipaccesslists', 'block', 'Ready', /^True/, 30_000);
  await space.waitForCondition('dkimkeys', 'key', 'Ready', /^True/, 30_000);
});

afterAll(async () => {
  await operator?.stop();
  await proxy?.stop();
  await kubelet?.stop();
  space?.admin.close();
});

const reconciles = () => reconcilesOf(operator);

test('X1: the API server is away again and again: no SMTP session suffers, and the policy catches up', async () => {
  const smtp = kubelet.smtpOf('mail-0');
  const key = await space.admin.list(`/api/v1/namespaces/${space.name}/secrets`);
  proxy.requests.length = 0;
  for (let outage = 1; outage <= outages; outage += 1) {
    await proxy.setReachable(false);
    const before = await reconciles();
    await space.apply(blockList('block', [`127.0.1.${100 + outage}`]));
    for (let session = 0; session < sessionsPerOutage; session += 1) {
      expect(await verdict(smtp, '127.0.1.99', 'bob@a.example')).toMatch(/^250 /);
      expect(await verdict(smtp, `127.0.1.${99 + outage}`, 'bob@a.example')).toMatch(/^550 5\.7\.1 /);
    }
    // It goes on from its caches and asks the pods; only what it has to write fails.
    await waitFor('the operator to go on', reconciles, (now) => now >= before + 3);
    await proxy.setReachable(true);
    await waitForVerdict(smtp, `127.0.1.${100 + outage}`, 'bob@a.example', /^550 5\.7\.1 /);
    await space.waitForCondition('ipaccesslists', 'block', 'Ready', /^True/);
  }
  const lists = proxy.requests.filter(({ kind }) => kind === 'list');
  for (const { plural } of kinds) {
    // A watch is taken up again where it was: only what the server no longer knows has to be listed anew.
    expect(lists.filter((request) => request.plural === plural).length).toBeLessThanOrEqual(outages);
  }
  const keys = await space.admin.list(`/api/v1/namespaces/${space.name}/secrets`);
  const dkim = (secrets: typeof keys) =>
    secrets.filter(({ metadata }) => metadata.name === 'postern-dkim-key').map(({ data }) => data);
  expect(dkim(keys)).toEqual(dkim(key));
  recordFaults(outages);
});

test('afterwards nothing is written while nothing changes', async () => {
  const [objects, rendered] = [await space.versions(), await renderedPicture(space)];
  const before = await reconciles();
  await waitFor('five more reconciles', reconciles, (now) => now >= before + 5);
  expect(await space.versions()).toEqual(objects);
  expect(await renderedPicture(space)).toEqual(rendered);
});
