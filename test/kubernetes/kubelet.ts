// A stand-in for kubelet and the StatefulSet controller: Pod objects whose address leads to a real MTA process, which reads
// the rendered objects through kubelet's atomic-writer layout. As on a real node, a change of a ConfigMap reaches the pod's
// volume when the Pod object changes (facts: 0.2-0.5 s) and, because nothing here syncs by the clock, only then.
import { randomInt } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { writeVolume } from '../../operator/platform/standalone/atomic-volume.ts';
import { type Child, startChild } from '../cluster/child.ts';
import { type Api, type KubeObject, paths } from './api.ts';

const mtaMain = fileURLToPath(new URL('../../mta/main.ts', import.meta.url));
const smtpPort = 2525;
const httpPort = 8025;
const readinessPollMs = 200;

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
  static async start(api: Api, namespace: string, mta: string, replicas: number, labels: Record<string, string> = {}): Promise<Kubelet> {
    const statefulSet = await api.create(paths.apps(namespace, 'statefulsets'), statefulSetObject(mta, replicas, labels));
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
    this.pods.set(name, await PodRuntime.start({ api: this.api, namespace: this.namespace, mta: this.mta, name, address, folder: join(this.folder, name) }));
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

  /** What the MTA process wrote last. */
  log(pod: string): string {
    return this.runtime(pod).log();
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

interface PodOptions {
  readonly api: Api;
  readonly namespace: string;
  readonly mta: string;
  readonly name: string;
  readonly address: string;
  readonly folder: string;
}

/** One pod: its volumes, its process, its readiness. Errors end in `failure` and come out of stop(). */
class PodRuntime {
  held = false;
  private child: Child | undefined;
  private annotations = '';
  private dirty = false;
  private syncing: Promise<void> = Promise.resolve();
  private readonly stopped = new AbortController();
  private readonly readiness: Promise<void>;
  private failure: unknown;
  private readonly options: PodOptions;

  private constructor(options: PodOptions) {
    this.options = options;
    this.readiness = this.reportReadiness();
  }

  get address(): string {
    return this.options.address;
  }

  static async start(options: PodOptions): Promise<PodRuntime> {
    for (const volume of ['policy', 'config', 'token', 'home', 'queue', 'maildir']) {
      await mkdir(join(options.folder, volume), { recursive: true });
    }
    return new PodRuntime(options);
  }

  log(): string {
    return this.child?.log() ?? 'the process has not started: its configuration or state token is missing';
  }

  /** As kubelet does, any change of the pod's metadata makes it sync the pod; status changes of its own do not. */
  podChanged(pod: KubeObject): void {
    const annotations = JSON.stringify(pod.metadata.annotations);
    if (annotations === this.annotations) return;
    this.annotations = annotations;
    this.requestSync();
  }

  requestSync(): void {
    if (this.held) return;
    this.dirty = true;
    this.syncing = this.syncing.then(async () => {
      if (!this.dirty || this.stopped.signal.aborted) return;
      this.dirty = false;
      await this.sync();
    }).catch((error: unknown) => {
      this.failure ??= error;
    });
  }

  async stop(): Promise<void> {
    this.stopped.abort();
    await this.readiness;
    await this.syncing;
    await this.child?.stop();
    if (this.failure !== undefined) throw this.failure;
  }

  /** Reads every source of the projected policy volume and swaps the volume in one step. */
  private async sync(): Promise<void> {
    const { api, namespace, mta, folder } = this.options;
    const sources = policySources(mta);
    const files = new Map<string, Uint8Array>();
    for (const resource of ['configmaps', 'secrets'] as const) {
      for (const object of await api.list(paths.core(namespace, resource))) {
        if (!sources[resource].has(object.metadata.name)) continue;
        for (const [file, bytes] of contents(resource, object)) files.set(file, bytes);
      }
    }
    await writeVolume(join(folder, 'policy'), files, Date.now());
  }

  /** Mounts what the pod cannot start without; false while that is missing. */
  private async mountRequired(): Promise<boolean> {
    const { api, namespace, mta, folder } = this.options;
    const config = await api.get(paths.core(namespace, 'configmaps', `postern-${mta}-config`));
    const token = await api.get(paths.core(namespace, 'secrets', `postern-${mta}-state-token`));
    if (config === undefined || token === undefined) return false;
    await writeVolume(join(folder, 'config'), contents('configmaps', config), Date.now());
    await writeVolume(join(folder, 'token'), contents('secrets', token), Date.now());
    return true;
  }

  private async startProcess(): Promise<void> {
    const { name, address, folder } = this.options;
    await this.sync();
    const at = (volume: string) => join(folder, volume);
    this.child = startChild(
      process.execPath,
      [
        mtaMain,
        ...['--policy', at('policy'), '--config', join(at('config'), '..data'), '--home', at('home'), '--queue', at('queue')],
        ...['--maildir', at('maildir'), '--token-file', join(at('token'), 'token')],
        ...['--smtp', `${address}:${smtpPort}`, '--http', `${address}:${httpPort}`],
      ],
      { name: `MTA pod ${name}`, graceTenths: 50 },
    );
  }

  private async reportReadiness(): Promise<void> {
    const { api, namespace, name, address } = this.options;
    const path = paths.core(namespace, 'pods', `${name}/status`);
    let reported: boolean | undefined;
    for (; !this.stopped.signal.aborted; await delay(readinessPollMs)) {
      try {
        if (this.child === undefined && (await this.mountRequired())) await this.startProcess();
        const ready = this.child !== undefined && (await answersReady(address));
        if (ready === reported || this.child === undefined) continue;
        const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }];
        const patch = { status: { phase: 'Running', podIP: address, podIPs: [{ ip: address }], conditions } };
        await api.mergePatch(path, patch);
        reported = ready;
      } catch (error) {
        this.failure ??= error;
        return;
      }
    }
  }
}

/** The fixed names that the tenant chart's pod template projects, all optional. */
function policySources(mta: string): { configmaps: ReadonlySet<string>; secrets: ReadonlySet<string> } {
  const numbers = (count: number) => Array.from({ length: count }, (_, number) => number);
  return {
    configmaps: new Set([`postern-${mta}-index`, ...numbers(48).map((number) => `postern-${mta}-${String(number).padStart(2, '0')}`)]),
    secrets: new Set([`postern-${mta}-secret-index`, ...numbers(8).map((number) => `postern-${mta}-secret-${number}`)]),
  };
}

function contents(resource: 'configmaps' | 'secrets', object: KubeObject): Map<string, Uint8Array> {
  const encoding = resource === 'secrets' ? 'base64' : 'utf8';
  return new Map([
    ...Object.entries(object.data).map(([file, text]) => [file, Buffer.from(text, encoding)] as const),
    ...Object.entries(object.binaryData).map(([file, text]) => [file, Buffer.from(text, 'base64')] as const),
  ]);
}

function answersReady(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = http.get({ host: address, port: httpPort, path: '/readyz', agent: false, timeout: 2_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}

const container = {
  name: 'mta',
  image: 'postern-mta:test',
  ports: [
    { name: 'smtp', containerPort: smtpPort },
    { name: 'http', containerPort: httpPort },
  ],
};

function statefulSetObject(mta: string, replicas: number, labels: Record<string, string>): unknown {
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

function podObject(name: string, mta: string, owner: KubeObject): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      labels: { 'postern.dev/mta': mta },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'StatefulSet', name: owner.metadata.name, uid: owner.metadata.uid, controller: true },
      ],
    },
    spec: { containers: [container] },
  };
}
