// X27: somebody applies the same manifests again and again, as a GitOps controller that heals drift does.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { useControlPlane } from '../cluster/shared.ts';
import { tenant } from '../kubernetes/namespace.ts';
import { startOperatorIn } from '../kubernetes/operator.ts';
import { blockList, dkimKey, mailDomain } from './fixtures.ts';
import { startFaultProxy } from './proxy.ts';
import { recordFaults } from './record.ts';
import { isStateWrite, World, worldOptions } from './world.ts';

const applies = 20;
const cluster = useControlPlane({ identities: [tenant] });
let world: World;

beforeAll(async () => {
  world = await World.make(cluster, 'heal');
}, 90_000);
afterAll(() => world?.stop());

test('X27: the same manifests applied again and again: no difference, no new generation, nothing to write for the operator', async () => {
  const manifests = [
    mailDomain('a', 'a.example'),
    blockList('block', ['127.0.2.2', '127.0.2.3']),
    dkimKey('key', 'a'),
  ]
    .map((manifest) => JSON.stringify(manifest))
    .join('\n---\n');
  const gitOps = (verb: string) => [
    verb,
    '--server-side',
    '--field-manager=gitops',
    ...['--force-conflicts', `--namespace=${world.space.name}`, '-f', '-'],
  ];
  const run = (verb: string) => cluster.current.kubectl('admin', gitOps(verb), manifests);
  const proxy = await startFaultProxy(cluster.current);
  const operator = await startOperatorIn(world.space, worldOptions, proxy.url);
  try {
    // The first one writes who applied what.
    expect((await run('apply')).code).toBe(0);
    await world.holds('applied', operator);
    const versions = await world.space.versions();
    proxy.requests.length = 0;
    for (let again = 0; again < applies; again += 1) expect((await run('apply')).code).toBe(0);
    expect(await run('diff')).toMatchObject({ code: 0, stdout: '' });
    await world.holds('applied again and again', operator);
    expect(await world.space.versions()).toEqual(versions);
    expect(proxy.requests.filter(isStateWrite)).toEqual([]);
    recordFaults(applies);
  } finally {
    await operator.stop();
    await proxy.stop();
  }
});
