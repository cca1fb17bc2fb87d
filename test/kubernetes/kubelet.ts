// A stand-in for kubelet and the StatefulSet controller: Pod objects whose address leads to a real MTA process, which reads
// the rendered objects through kubelet's atomic-writer layout. As on a real node, a change of a ConfigMap reaches the pod's
// volume when the Pod object changes (facts: 0.2-0.5 s) and, because nothing here syncs by the clock, only then.
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Api, type KubeObject, paths } from './api.ts';
import { httpPort, PodRuntime, smtpPort } from './pod-runtime.ts';

/** One MTA of a namespace: its StatefulSet object, and pods that are processes of this machine. */
export class Kubelet {
  private readonly pods = new Map<string, PodRuntime>();
  private readonly stopped = new AbortController();
  private readonly watching: Promise<void>;
  readonly statefulSet: KubeObject;
  readonly mta: string;
  private readonly api: Api;
  private readonly folder: string;
  private readonly namespace: string;

  private constructor(api: Api, namespace: string, mta: string, statefulSet: KubeObject, folder: string) {
    this.api = api;
    this.namespace = namespace;
    this.mta = mta;
    this.statefulSet = statefulSet;
    this.folder = folder;
    this.watching = api.watch(paths.core(namespace, 'pods'), this.stopped.signal, (pod) => {
      this.pods.get(pod.metadata.name)?.podChanged(pod);
    });
  }

  /**
   * Creates the StatefulSet object of an MTA, as the tenant chart does.
   *
   * @param labels further labels, such as postern.dev/class
   */
  static async start(
    api: Api,
    namespace: string,
    mta: string,
    replicas: number,
    labels: Record<string, string> = {},
  ): Promise<Kubelet> {
    const object = statefulSetObject(mta, replicas, labels);
    return Kubelet.for(api, namespace, mta, await api.create(paths.apps(namespace, 'statefulsets'), object));
  }

  /** Serves the StatefulSet object of an MTA that somebody else has made. */
  static async for(api: Api, namespace: string, mta: string, statefulSet: KubeObject): Promise<Kubelet> {
    const folder = await mkdtemp(join(tmpdir(), 'postern-kubelet-'));
    return new Kubelet(api, namespace, mta, statefulSet, folder);
  }

  /** The pod's own loopback address; SMTP listens there on 2525. */
  smtpOf(pod: string): { host: string; port: number } {
    return { host: this.runtime(pod).address, port: smtpPort };
  }

  /** Creates the Pod object; its process starts as soon as the configuration and the state token exist. */
  async addPod(name: string): Promise<void> {
    const address = `127.${randomInt(10, 250)}.${randomInt(1, 250)}.${randomInt(1, 250)}`;
    await this.api.create(paths.core(this.namespace, 'pods'), podObject(name, this.mta, this.statefulSet));
    this.pods.set(
      name,
      await PodRuntime.start({
        api: this.api,
        namespace: this.namespace,
        mta: this.mta,
        name,
        address,
        folder: join(this.folder, name),
      }),
    );
  }

  /** From now on nothing reaches the pod's volumes. */
  hold(pod: string): void {
    this.runtime(pod).held = true;
  }

  /** Volumes are refreshed again, beginning now: kubelet is back. */
  release(pod: string): void {
    const runtime = this.runtime(pod);
    runtime.held = false;
    runtime.requestSync();
  }

  /** Ends a pod: process, files and object. */
  async removePod(name: string): Promise<void> {
    await this.runtime(name).stop();
    this.pods.delete(name);
    await this.api.remove(paths.core(this.namespace, 'pods', name));
  }

  /** Ends all processes and removes their files. The objects stay. */
  async stop(): Promise<void> {
    this.stopped.abort();
    await Promise.all([...this.pods.values()].map((pod) => pod.stop()));
    await this.watching;
    await rm(this.folder, { recursive: true, force: true });
  }

  private runtime(name: string): PodRuntime {
    const pod = this.pods.get(name);
    if (pod === undefined) throw new Error(`no pod ${name}`);
    return pod;
  }
}

const container = {
  name: 'mta',
  image: 'postern-mta:test',
  ports: [
    { name: 'smtp', containerPort: smtpPort },
    { name: 'http', containerPort: httpPort },
  ],
};

/** As the tenant chart makes it. */
export function statefulSetObject(
  mta: string,
  replicas: number,
  labels: Record<string, string> = {},
): unknown {
  const podLabels = { 'postern.dev/mta': mta };
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: `mail-${mta}`, labels: { ...podLabels, ...labels } },
    spec: {
      replicas,
      serviceName: `mail-${mta}`,
      podManagementPolicy: 'Parallel',
      selector: { matchLabels: podLabels },
      template: { metadata: { labels: podLabels }, spec: { containers: [container] } },
    },
  };
}

/** As the StatefulSet controller makes it. */
export function podObject(name: string, mta: string, owner: KubeObject): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      labels: { 'postern.dev/mta': mta },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'StatefulSet',
          name: owner.metadata.name,
          uid: owner.metadata.uid,
          controller: true,
        },
      ],
    },
    spec: { containers: [container] },
  };
}
