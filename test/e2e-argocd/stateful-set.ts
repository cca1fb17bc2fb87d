// A stand-in for the StatefulSet controller and a node: pods as the template wants them, one replaced after the other, and the status
// from which Argo CD reads whether a roll is over.
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { type Api, type KubeObject, paths } from '../kubernetes/api.ts';
import { Kubelet } from '../kubernetes/kubelet.ts';
import { waitFor } from '../kubernetes/namespace.ts';

const pollMs = 200;

const spec = z.looseObject({ replicas: z.int(), template: z.unknown() });
const podStatus = z.looseObject({
  conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).default([]),
});

export class StatefulSetController {
  private readonly stopped = new AbortController();
  private readonly running: Promise<void>;
  /** Revision of the template that each pod was made from. */
  private readonly pods = new Map<string, string>();
  private readonly api: Api;
  private readonly kubelet: Kubelet;
  private readonly path: string;
  private readonly namespace: string;
  private readonly name: string;
  private reported = '';

  private constructor(api: Api, kubelet: Kubelet, namespace: string, name: string) {
    this.api = api;
    this.kubelet = kubelet;
    this.namespace = namespace;
    this.name = name;
    this.path = paths.apps(namespace, 'statefulsets', name);
    this.running = this.run();
    // It comes out of stop().
    this.running.catch(() => undefined);
  }

  /** Serves the StatefulSet of an MTA as soon as somebody makes it. */
  static async start(api: Api, namespace: string, name: string, mta: string): Promise<StatefulSetController> {
    const path = paths.apps(namespace, 'statefulsets', name);
    const made = await waitFor(
      `the StatefulSet ${name}`,
      () => api.get(path),
      (object) => object !== undefined,
      90_000,
    );
    if (made === undefined) throw new Error(`no StatefulSet ${name}`);
    const kubelet = await Kubelet.for(api, namespace, mta, made);
    return new StatefulSetController(api, kubelet, namespace, name);
  }

  /** Ends all processes. @throws Error that broke it, or a pod */
  async stop(): Promise<void> {
    this.stopped.abort();
    try {
      await this.running;
    } finally {
      await this.kubelet.stop();
    }
  }

  private async run(): Promise<void> {
    for (; !this.stopped.signal.aborted; await delay(pollMs)) {
      const object = await this.api.get(this.path);
      if (object === undefined) continue;
      const { replicas, template } = spec.parse(object['spec']);
      const revision = createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 10);
      const ready = await this.readyPods();
      await this.step(replicas, revision, ready);
      await this.report(object, replicas, revision, ready);
    }
  }

  /** Makes what is missing; replaces an old pod only while all are ready. */
  private async step(replicas: number, revision: string, ready: ReadonlySet<string>): Promise<void> {
    const names = Array.from({ length: replicas }, (_, number) => `${this.name}-${number}`);
    const missing = names.filter((name) => !this.pods.has(name));
    for (const name of missing) {
      await this.kubelet.addPod(name);
      this.pods.set(name, revision);
    }
    const old = names.find((name) => this.pods.get(name) !== revision);
    if (old === undefined || ready.size < replicas) return;
    await this.kubelet.removePod(old);
    this.pods.delete(old);
  }

  private async readyPods(): Promise<Set<string>> {
    const pods = await this.api.list(paths.core(this.namespace, 'pods'));
    const isReady = ({ status }: KubeObject) =>
      podStatus
        .parse(status ?? {})
        .conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True');
    return new Set(
      pods.filter((pod) => this.pods.has(pod.metadata.name) && isReady(pod)).map((pod) => pod.metadata.name),
    );
  }

  private async report(
    object: KubeObject,
    replicas: number,
    revision: string,
    ready: ReadonlySet<string>,
  ): Promise<void> {
    const updated = [...this.pods.values()].filter((one) => one === revision).length;
    const readyReplicas = [...ready].filter((name) => this.pods.has(name)).length;
    const isRolled = updated === replicas && readyReplicas === replicas;
    const status = {
      observedGeneration: object.metadata.generation,
      replicas,
      readyReplicas,
      availableReplicas: readyReplicas,
      updatedReplicas: updated,
      currentReplicas: isRolled ? replicas : replicas - updated,
      updateRevision: revision,
      ...(isRolled && { currentRevision: revision }),
    };
    const text = JSON.stringify(status);
    if (text === this.reported) return;
    await this.api.mergePatch(`${this.path}/status`, { status });
    this.reported = text;
  }
}
