// The API server as the tests see it: plain HTTPS, none of the operator's own client code.
import { readFile } from 'node:fs/promises';
import https from 'node:https';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';

const kubeconfig = z.object({
  clusters: z.tuple([
    z.object({ cluster: z.object({ server: z.string(), 'certificate-authority': z.string() }) }),
  ]),
  users: z.tuple([z.object({ user: z.object({ token: z.string() }) })]),
});

const metadata = z.looseObject({
  name: z.string().default(''),
  namespace: z.string().default(''),
  uid: z.string().default(''),
  resourceVersion: z.string().default(''),
  generation: z.number().optional(),
  deletionTimestamp: z.string().optional(),
  labels: z.record(z.string(), z.string()).default({}),
  annotations: z.record(z.string(), z.string()).default({}),
  finalizers: z.array(z.string()).default([]),
  ownerReferences: z.array(z.looseObject({ uid: z.string() })).default([]),
});

/** Any object, with what the tests look at. */
export const kubeObject = z.looseObject({
  metadata: metadata,
  data: z.record(z.string(), z.string()).default({}),
  binaryData: z.record(z.string(), z.string()).default({}),
  status: z.looseObject({}).optional(),
});
export type KubeObject = z.infer<typeof kubeObject>;

const watchEvent = z.object({ type: z.string(), object: kubeObject });

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export class Api {
  private readonly server: string;
  private readonly token: string;
  private readonly agent: https.Agent;

  private constructor(server: string, token: string, ca: Buffer) {
    this.server = server;
    this.token = token;
    this.agent = new https.Agent({ ca, keepAlive: true });
  }

  /** Reads a kubeconfig as startControlPlane writes it. */
  static async from(kubeconfigFile: string): Promise<Api> {
    const { clusters, users } = kubeconfig.parse(JSON.parse(await readFile(kubeconfigFile, 'utf8')));
    const { server, 'certificate-authority': caFile } = clusters[0].cluster;
    return new Api(server, users[0].user.token, await readFile(caFile));
  }

  /** Sends a request; a status of 400 or more is returned, not thrown. */
  request(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = https.request(
        `${this.server}${path}`,
        this.options(method, contentType),
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            resolve({
              status: response.statusCode ?? 0,
              body: text.startsWith('{') ? JSON.parse(text) : text,
            });
          });
        },
      );
      request.on('error', reject);
      const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
      // Node sends the body of a DELETE without any length otherwise.
      if (bytes !== undefined) request.setHeader('content-length', bytes.length);
      request.end(bytes);
    });
  }

  /** @returns the object, or undefined if there is none. @throws Error on any other answer. */
  async get(path: string): Promise<KubeObject | undefined> {
    const answer = await this.request('GET', path);
    return answer.status === 404 ? undefined : kubeObject.parse(expectOk('GET', path, answer));
  }

  async list(path: string): Promise<KubeObject[]> {
    const body = expectOk('GET', path, await this.request('GET', path));
    return z.object({ items: z.array(kubeObject) }).parse(body).items;
  }

  async create(path: string, object: unknown): Promise<KubeObject> {
    return kubeObject.parse(expectOk('POST', path, await this.request('POST', path, object)));
  }

  async mergePatch(path: string, patch: unknown): Promise<KubeObject> {
    const answer = await this.request('PATCH', path, patch, 'application/merge-patch+json');
    return kubeObject.parse(expectOk('PATCH', path, answer));
  }

  /** Deletes at once; an object that is gone already is no error. */
  async remove(path: string): Promise<void> {
    const answer = await this.request('DELETE', path, {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      gracePeriodSeconds: 0,
    });
    if (answer.status !== 404) expectOk('DELETE', path, answer);
  }

  /**
   * Calls `onObject` for every object of the list and each change of it, until the signal aborts. Reopens a closed watch.
   *
   * @param onObject also gets the type of the event, such as DELETED
   */
  watch(
    path: string,
    signal: AbortSignal,
    onObject: (object: KubeObject, type: string) => void,
  ): Promise<void> {
    const once = () =>
      new Promise<void>((resolve) => {
        const request = https.request(
          `${this.server}${path}?watch=true`,
          { ...this.options('GET', 'application/json'), signal },
          (response) => {
            const lines = createInterface({ input: response });
            lines.on('line', (line) => {
              const event = watchEvent.safeParse(JSON.parse(line));
              if (event.success) onObject(event.data.object, event.data.type);
            });
            lines.on('error', () => resolve());
            response.on('error', () => resolve());
            response.on('close', () => resolve());
          },
        );
        request.on('error', () => resolve());
        request.end();
      });
    return (async () => {
      while (!signal.aborted) {
        await once();
        await delay(100);
      }
    })();
  }

  close(): void {
    this.agent.destroy();
  }

  private options(method: string, contentType: string): https.RequestOptions {
    return {
      method,
      agent: this.agent,
      headers: { authorization: `Bearer ${this.token}`, 'content-type': contentType },
    };
  }
}

function expectOk(method: string, path: string, answer: Answer): unknown {
  if (answer.status >= 400)
    throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** Paths of namespaced resources. */
export const paths = {
  core: (namespace: string, resource: string, name?: string) =>
    `/api/v1/namespaces/${namespace}/${resource}${suffix(name)}`,
  apps: (namespace: string, resource: string, name?: string) =>
    `/apis/apps/v1/namespaces/${namespace}/${resource}${suffix(name)}`,
  postern: (namespace: string, resource: string, name?: string) =>
    `/apis/postern.dev/v1alpha1/namespaces/${namespace}/${resource}${suffix(name)}`,
};

function suffix(name: string | undefined): string {
  return name === undefined ? '' : `/${name}`;
}
