// X10 and X20: somebody edits what the operator renders, and somebody declares more than fits.
import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunningOperator } from '../../operator/operator.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { type KubeObject, paths } from '../kubernetes/api.ts';
import { Kubelet } from '../kubernetes/kubelet.ts';
import { crdFolder, TestNamespace, tenant, waitFor } from '../kubernetes/namespace.ts';
import { startOperatorIn } from '../kubernetes/operator.ts';
import { verdict, waitForVerdict } from '../kubernetes/verdict.ts';
import { blockList, mailDomain, renderedObjects, renderedPicture } from './fixtures.ts';
import { recordFaults } from './record.ts';

const cluster = useControlPlane({ identities: [tenant] });
let space: TestNamespace;
let kubelet: Kubelet;
let operator: RunningOperator;
let intact: unknown[];

beforeAll(async () => {
  await cluster.current.installCrds(crdFolder);
  space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace('tamper'));
  kubelet = await Kubelet.start(space.admin, space.name, 'default', 1);
  await kubelet.addPod('mail-0');
  // So slow that nothing is found by looking from time to time: what is restored in time was noticed.
  operator = await startOperatorIn(space, { slowPollMs: 600_000, logLevel: 'silent' });
  await space.apply(mailDomain('a', 'a.example'), blockList('block', ['127.0.0.66']));
  await space.waitForCondition('ipaccesslists', 'block', 'Ready', /^True/, 30_000);
  await space.waitForCondition('maildomains', 'a', 'Ready', /^True/, 30_000);
  intact = await renderedPicture(space);
});

afterAll(async () => {
  await operator?.stop();
  await kubelet?.stop();
  space?.admin.close();
});

const resourceOf = (name: string) => (name.includes('-secret-') ? 'secrets' : 'configmaps');
const pathOf = ({ metadata: { name } }: KubeObject) => paths.core(space.name, resourceOf(name), name);
const overwrite = (object: KubeObject, field: 'data' | 'binaryData') =>
  Object.fromEntries(
    Object.keys(object[field]).map((key) => [key, Buffer.from('tampered').toString('base64')]),
  );

const tamperings: Readonly<Record<string, (object: KubeObject) => Promise<unknown>>> = {
  'edited by hand': (object) =>
    space.admin.mergePatch(pathOf(object), {
      data: overwrite(object, 'data'),
      binaryData: overwrite(object, 'binaryData'),
    }),
  'given a foreign key': (object) =>
    space.admin.mergePatch(pathOf(object), { data: { 'evil.json': 'e30=' } }),
  deleted: (object) => space.admin.remove(pathOf(object)),
  'stripped of its labels': (object) =>
    space.admin.mergePatch(pathOf(object), { metadata: { labels: null } }),
  'stripped of its owner': (object) =>
    space.admin.mergePatch(pathOf(object), { metadata: { ownerReferences: null } }),
  'made immutable': (object) =>
    space.admin.mergePatch(pathOf(object), { immutable: true, data: overwrite(object, 'data') }),
};

for (const [what, tamper] of Object.entries(tamperings)) {
  test(`X10: a rendered object that was ${what} is restored, and mail flows on`, async () => {
    let tampered = 0;
    for (const object of await renderedObjects(space)) {
      if (what === 'made immutable' && object.metadata.name.endsWith('-config')) continue;
      await tamper(object);
      tampered += 1;
      await waitFor(
        `${object.metadata.name} to be restored`,
        () => renderedPicture(space),
        (now) => isDeepStrictEqual(now, intact),
        10_000,
      );
      expect(await verdict(kubelet.smtpOf('mail-0'), '127.0.0.66', 'bob@a.example')).toMatch(/^550 5\.7\.1 /);
      expect(await verdict(kubelet.smtpOf('mail-0'), '127.0.0.67', 'bob@a.example')).toMatch(/^250 /);
    }
    recordFaults(tampered);
  });
}

test('the restoring is told in an event on the StatefulSet', async () => {
  const events = await space.admin.list(`/apis/events.k8s.io/v1/namespaces/${space.name}/events`);
  const restored = events.filter((event) => event['reason'] === 'RenderedObjectRestored');
  expect(restored.length).toBeGreaterThan(0);
  expect(restored[0]?.['regarding']).toMatchObject({ kind: 'StatefulSet', name: 'mail-default' });
});

test('X10: an object of our name that somebody else made is left alone, and an event says so', async () => {
  const [shard] = (await renderedObjects(space)).filter(
    ({ binaryData }) => Object.keys(binaryData).length > 0,
  );
  if (shard === undefined) throw new Error('no shard');
  const foreign = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: shard.metadata.name },
    data: { mine: 'yes' },
  };
  // Whoever is faster: the operator restores a deleted shard within milliseconds.
  await waitFor(
    'the foreign object to be there',
    async () => {
      await space.admin.remove(pathOf(shard));
      return (await space.admin.request('POST', paths.core(space.name, 'configmaps'), foreign)).status;
    },
    (status) => status === 201,
  );
  await waitFor(
    'the event',
    () => space.admin.list(`/apis/events.k8s.io/v1/namespaces/${space.name}/events`),
    (events) =>
      events.some(
        (event) =>
          event['reason'] === 'RenderedObjectRefused' && String(event['note']).includes(shard.metadata.name),
      ),
  );
  expect((await space.admin.get(pathOf(shard)))?.data).toEqual({ mine: 'yes' });
  expect(await verdict(kubelet.smtpOf('mail-0'), '127.0.0.66', 'bob@a.example')).toMatch(/^550 5\.7\.1 /);
  await space.admin.remove(pathOf(shard));
  await waitFor(
    'the shard',
    () => renderedPicture(space),
    (now) => isDeepStrictEqual(now, intact),
    10_000,
  );
  recordFaults(1);
});

test('X20: 10,000 addresses of a domain, most of them IPv6 in one list, act from its first to its last entry', async () => {
  const address = (index: number) =>
    `2001:db8:${Math.floor(index / 65_536).toString(16)}:${(index % 65_536).toString(16)}::1`;
  const addresses = Array.from({ length: 9_997 }, (_, index) => address(index));
  await space.apply(blockList('long', ['127.0.0.71', ...addresses, '127.0.0.72']));
  await space.waitForCondition('ipaccesslists', 'long', 'Ready', /^True/, 30_000);
  for (const peer of ['127.0.0.71', '127.0.0.72']) {
    expect(await verdict(kubelet.smtpOf('mail-0'), peer, 'bob@a.example')).toMatch(/^550 5\.7\.1 /);
  }
  recordFaults(1);
});

test('X20: what exceeds the limit of a domain is refused by name; the older list acts on, whole', async () => {
  await space.apply(blockList('too-many', ['127.0.0.73']));
  const text = await space.waitForCondition(
    'ipaccesslists',
    'too-many',
    'Accepted',
    /LimitExceeded|PartiallyAccepted/,
  );
  expect(text).toMatch(/10,?000/);
  expect(await verdict(kubelet.smtpOf('mail-0'), '127.0.0.72', 'bob@a.example')).toMatch(/^550 5\.7\.1 /);
  await space.kubectl(['delete', 'ipaccesslist', 'long', 'too-many']);
  recordFaults(1);
});

test('X20: a ConfigMap as large as one can be (1 MiB of recipients) acts whole, and its neighbours go on', async () => {
  const localPart = (index: number) =>
    `${index.toString().padStart(6, '0')}.${randomBytes(27).toString('hex')}`;
  const people = Array.from({ length: 16_000 }, (_, index) => localPart(index));
  const configMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'people' },
    data: { recipients: people.join('\n') },
  };
  await space.admin.create(paths.core(space.name, 'configmaps'), configMap);
  const recipients = { mode: 'List', configMapRef: { name: 'people', key: 'recipients' } };
  await space.apply(mailDomain('huge', 'huge.example', { recipients }));
  await space.waitForCondition('maildomains', 'huge', 'Ready', /^True/, 30_000);
  for (const known of [people.at(0), people.at(-1)]) {
    expect(await verdict(kubelet.smtpOf('mail-0'), '127.0.0.75', `${known}@huge.example`)).toMatch(/^250 /);
  }
  expect(await verdict(kubelet.smtpOf('mail-0'), '127.0.0.75', 'nobody@huge.example')).toMatch(
    /^550 5\.1\.1 /,
  );
  await space.apply(blockList('block', ['127.0.0.66', '127.0.0.74']));
  await waitForVerdict(kubelet.smtpOf('mail-0'), '127.0.0.74', 'bob@a.example', /^550 5\.7\.1 /);
  recordFaults(1);
});
