// One tenant in two states, and what each of them looks like when nothing goes wrong: what faults are measured by.
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import type { RunningOperator } from '../../operator/operator.ts';
import type { SharedControlPlane } from '../cluster/shared.ts';
import { type KubeObject, paths } from '../kubernetes/api.ts';
import { Kubelet } from '../kubernetes/kubelet.ts';
import { crdFolder, TestNamespace, waitFor } from '../kubernetes/namespace.ts';
import { reconcilesOf, startOperatorIn } from '../kubernetes/operator.ts';
import { verdict, waitForVerdict } from '../kubernetes/verdict.ts';
import { blockList, dkimKey, mailDomain, renderedPicture, statusPicture } from './fixtures.ts';
import { type SeenRequest, startFaultProxy } from './proxy.ts';

const plurals = ['maildomains', 'ipaccesslists', 'dkimkeys'] as const;
/** Of every operator in this process, so that it renders what one of its own process does; it looks at its pods often. */
export const worldOptions = { slowPollMs: 200, clusterRanges: ['127.0.0.0/8', '::1/128'] };
const settled = 60_000;

/** Events are news, not state. */
export function isStateWrite({ kind, plural }: SeenRequest): boolean {
  return kind === 'write' && plural !== 'events' && plural !== 'leases';
}

/**
 * A domain, a list and a key, with an MTA process that serves them. `before`: the list blocks 127.0.2.1, and there is no key.
 * `after`: it blocks 127.0.2.2 and 127.0.2.3, and there is a key.
 */
export class World {
  readonly space: TestNamespace;
  readonly kubelet: Kubelet;
  /** Rendered objects of the two states, and the statuses of the second, as a run without faults leaves them. */
  readonly pictures: { before: unknown[]; after: unknown[]; statuses: unknown[] };
  private readonly cluster: SharedControlPlane;

  private constructor(cluster: SharedControlPlane, space: TestNamespace, kubelet: Kubelet) {
    this.cluster = cluster;
    this.space = space;
    this.kubelet = kubelet;
    this.pictures = { before: [], after: [], statuses: [] };
  }

  /** Makes it, and takes the pictures. */
  static async make(cluster: SharedControlPlane, prefix: string): Promise<World> {
    await cluster.current.installCrds(crdFolder);
    const space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace(prefix));
    // The client of the tests has addresses that are the cluster's own (G14).
    await space.admin.mergePatch(paths.core(space.name, 'configmaps', 'postern-mta-default'), {
      data: { 'mta.yaml': 'heloName: mx.example.com\ntrustedRanges: [127.0.0.0/8]\n' },
    });
    const kubelet = await Kubelet.start(space.admin, space.name, 'default', 1);
    await kubelet.addPod('mail-0');
    await space.apply(mailDomain('a', 'a.example'));
    const world = new World(cluster, space, kubelet);
    const { pictures } = world;
    await world.toBefore();
    await world.settle();
    pictures.before = await renderedPicture(space);
    await world.toAfter();
    await world.settle();
    pictures.after = await renderedPicture(space);
    pictures.statuses = await world.statuses();
    return world;
  }

  async toBefore(): Promise<void> {
    await this.replaceList(['127.0.2.1']);
    await this.space.admin.remove(paths.postern(this.space.name, 'dkimkeys', 'key'));
    await this.space.admin.remove(this.keyPath);
  }

  async toAfter(): Promise<void> {
    await this.replaceList(['127.0.2.2', '127.0.2.3']);
    await this.space.admin.create(paths.postern(this.space.name, 'dkimkeys'), dkimKey('key', 'a'));
  }

  /** Back to `before`, with an operator that nothing happens to. */
  async rewind(): Promise<void> {
    await this.toBefore();
    const operator = await startOperatorIn(this.space, worldOptions);
    await this.isBefore();
    await operator.stop();
  }

  /** Waits until all is as a run without faults leaves `before`. */
  async isBefore(): Promise<void> {
    await waitFor(
      'the state before',
      () => renderedPicture(this.space),
      (now) => isDeepStrictEqual(now, this.pictures.before),
      settled,
    );
    await waitFor(
      'the status before',
      () => this.isReady('ipaccesslists'),
      (ready) => ready,
      settled,
    );
  }

  /** Lets an operator work without faults until it has nothing to do. */
  async settle(): Promise<void> {
    const proxy = await startFaultProxy(this.cluster.current);
    const operator = await startOperatorIn(this.space, { ...worldOptions, logLevel: 'silent' }, proxy.url);
    try {
      let writes = -1;
      let quietSince = performance.now();
      await waitFor(
        'the operator to come to rest',
        async () => {
          const now = proxy.requests.filter(isStateWrite).length;
          if (now !== writes) quietSince = performance.now();
          writes = now;
          const ready = await Promise.all(plurals.map((plural) => this.isReady(plural)));
          return ready.every(Boolean) && performance.now() - quietSince > 700;
        },
        (rests) => rests,
        settled,
      );
    } finally {
      await operator.stop();
      await proxy.stop();
    }
  }

  statuses(): Promise<unknown[]> {
    return Promise.all(plurals.map((plural) => statusPicture(this.space, plural)));
  }

  async key(): Promise<KubeObject['data'] | undefined> {
    return (await this.space.admin.get(this.keyPath))?.data;
  }

  /** Whether all is as a run without faults leaves it. */
  async isAfter(): Promise<boolean> {
    return (
      isDeepStrictEqual(await renderedPicture(this.space), this.pictures.after) &&
      isDeepStrictEqual(await this.statuses(), this.pictures.statuses)
    );
  }

  /**
   * The oracle: the rendered objects are byte for byte those of a run without faults, and no others; every status is that of its
   * object as it is now; key and published record are one pair; SMTP behaves as declared; and then nothing is written any more.
   *
   * @param operator that works now
   * @param key what was known of the key before
   * @param rests reconciles in which nothing may be written
   */
  async holds(
    what: string,
    operator: Pick<RunningOperator, 'httpPort'>,
    key?: KubeObject['data'],
    rests = 5,
  ): Promise<void> {
    const { space, pictures } = this;
    await waitFor(
      `${what}: the rendered objects`,
      () => renderedPicture(space),
      (now) => isDeepStrictEqual(now, pictures.after),
      settled,
    );
    await waitFor(
      `${what}: the statuses`,
      () => this.statuses(),
      (now) => isDeepStrictEqual(now, pictures.statuses),
      settled,
    );
    if (key !== undefined) expect(await this.key()).toEqual(key);
    await this.expectPair();
    const smtp = this.kubelet.smtpOf('mail-0');
    for (const peer of ['127.0.2.2', '127.0.2.3']) {
      await waitForVerdict(smtp, peer, 'bob@a.example', /^550 5\.7\.1 /);
    }
    expect(await verdict(smtp, '127.0.2.1', 'bob@a.example')).toMatch(/^250 /);
    // The MTA tells of the first entry that mail has met at once, and of more ten minutes later.
    await waitFor(
      `${what}: an entry that mail has met`,
      () => space.admin.get(paths.postern(space.name, 'ipaccesslists', 'block')),
      (list) => Number(list?.status?.['neverHitCount']) < 2,
      settled,
    );
    const versions = await space.versions();
    const reconciles = await reconcilesOf(operator);
    await waitFor(
      `${rests} more reconciles`,
      () => reconcilesOf(operator),
      (now) => now >= reconciles + rests,
    );
    expect(await space.versions()).toEqual(versions);
  }

  /** The key and what status tells people to publish are one pair. */
  async expectPair(): Promise<void> {
    const secret = await this.space.admin.get(this.keyPath);
    const object = await this.space.admin.get(paths.postern(this.space.name, 'dkimkeys', 'key'));
    expect(secret?.metadata.annotations['postern.dev/public-key-sha256']).toBe(
      object?.status?.['publicKeySHA256'],
    );
  }

  get keyPath(): string {
    return paths.core(this.space.name, 'secrets', 'postern-dkim-key');
  }

  async stop(): Promise<void> {
    await this.kubelet.stop();
    this.space.admin.close();
  }

  /** Made anew each time, so that generations, and with them the bundles, are the same in every round. */
  private async replaceList(addresses: string[]): Promise<void> {
    await this.space.admin.remove(paths.postern(this.space.name, 'ipaccesslists', 'block'));
    await this.space.admin.create(
      paths.postern(this.space.name, 'ipaccesslists'),
      blockList('block', addresses),
    );
  }

  private async isReady(plural: string): Promise<boolean> {
    const objects = await this.space.admin.list(paths.postern(this.space.name, plural));
    return objects.every(({ status, metadata }) => {
      const conditions = Array.isArray(status?.['conditions']) ? status['conditions'] : [];
      return conditions.some(
        ({ type, status: value, observedGeneration }) =>
          type === 'Ready' && value === 'True' && observedGeneration === metadata.generation,
      );
    });
  }
}
