// One pod of the stand-in for kubelet: its volumes, its MTA process, its readiness.
import { mkdir } from 'node:fs/promises';
import http from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { writeVolume } from '../../operator/platform/standalone/atomic-volume.ts';
import { type Child, startChild } from '../cluster/child.ts';
import { type Api, type KubeObject, paths } from './api.ts';

const mtaMain = fileURLToPath(new URL('../../mta/main.ts', import.meta.url));
export const smtpPort = 2525;
export const httpPort = 8025;
const readinessPollMs = 200;

interface PodOptions {
  readonly api: Api;
  readonly namespace: string;
  readonly mta: string;
  readonly name: string;
  readonly address: string;
  readonly folder: string;
}

/** Errors of a running pod end in `failure` and come out of stop(). */
export class PodRuntime {
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
    this.syncing = this.syncing
      .then(async () => {
        if (!this.dirty || this.stopped.signal.aborted) return;
        this.dirty = false;
        await this.sync();
      })
      .catch((error: unknown) => {
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
    // One after the other: a sync that was asked for may be writing the same volume.
    const synced = this.syncing.then(() => this.sync());
    this.syncing = synced.catch(() => undefined);
    await synced;
    const at = (volume: string) => join(folder, volume);
    this.child = startChild(
      process.execPath,
      [
        mtaMain,
        ...[
          '--policy',
          at('policy'),
          '--config',
          join(at('config'), '..data'),
          '--home',
          at('home'),
          '--queue',
          at('queue'),
        ],
        ...['--journal', at('journal'), '--maildir', at('maildir'), '--ledger', at('ledger.json')],
        ...['--last-answers', at('last-answers.json')],
        ...['--token-file', join(at('token'), 'token')],
        ...['--smtp', `${address}:${smtpPort}`, '--http', `${address}:${httpPort}`],
        // Nobody listens there: no test asks the name servers of the machine about senders.
        ...['--resolver', '127.0.0.1:9'],
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
        if (this.child?.exited === true)
          throw new Error(`the MTA of pod ${name} ended by itself. The end of its log:\n${this.child.log()}`);
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
    configmaps: new Set([
      `postern-${mta}-index`,
      ...numbers(48).map((number) => `postern-${mta}-${String(number).padStart(2, '0')}`),
    ]),
    secrets: new Set([
      `postern-${mta}-secret-index`,
      ...numbers(8).map((number) => `postern-${mta}-secret-${number}`),
    ]),
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
    const request = http.get(
      { host: address, port: httpPort, path: '/readyz', agent: false, timeout: 2_000 },
      (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      },
    );
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}
