// An Application of Argo CD as the tests see it: what it is made from, and what its status says.
import * as z from 'zod';
import type { Api } from '../kubernetes/api.ts';
import { waitFor } from '../kubernetes/namespace.ts';
import { argoCdNamespace } from './argo-cd.ts';

const health = z.object({ status: z.string().default(''), message: z.string().default('') });

const resource = z.object({
  kind: z.string(),
  name: z.string(),
  status: z.string().default(''),
  health: health.optional(),
});

const operation = z.looseObject({
  phase: z.string(),
  message: z.string().default(''),
  startedAt: z.string(),
  finishedAt: z.string().optional(),
});

const status = z.object({
  sync: z.object({ status: z.string(), revision: z.string().default('') }).optional(),
  health: health.optional(),
  operationState: operation.optional(),
  resources: z.array(resource).default([]),
  reconciledAt: z.string().default(''),
  conditions: z.array(z.object({ type: z.string(), message: z.string() })).default([]),
});
export type ApplicationStatus = z.infer<typeof status>;

/** Long enough for retries of a sync on a busy machine; nothing waits for it but a test that fails. */
const deadlineMs = 90_000;

const pathOf = (name?: string) =>
  `/apis/argoproj.io/v1alpha1/namespaces/${argoCdNamespace}/applications${name === undefined ? '' : `/${name}`}`;

export interface ApplicationOptions {
  readonly name: string;
  /** Where its objects go: the address that Argo CD knows the cluster by, and the namespace. */
  readonly destination: { readonly server: string; readonly namespace: string };
  /** `spec.source`, but for the branch `main`. */
  readonly source: object;
}

/** Synced by itself, with pruning and self-healing, as docs/install.md has it. */
export class Application {
  private readonly api: Api;
  private readonly name: string;

  private constructor(api: Api, name: string) {
    this.api = api;
    this.name = name;
  }

  static async create(api: Api, options: ApplicationOptions): Promise<Application> {
    await api.create(pathOf(), {
      apiVersion: 'argoproj.io/v1alpha1',
      kind: 'Application',
      metadata: {
        name: options.name,
        // Its objects go with it, in the order of a prune.
        finalizers: ['resources-finalizer.argocd.argoproj.io'],
      },
      spec: {
        project: 'default',
        source: { targetRevision: 'main', ...options.source },
        destination: options.destination,
        syncPolicy: {
          automated: { prune: true, selfHeal: true },
          syncOptions: ['ServerSideApply=true'],
        },
      },
    });
    return new Application(api, options.name);
  }

  async status(): Promise<ApplicationStatus> {
    return status.parse((await this.api.get(pathOf(this.name)))?.status ?? {});
  }

  /** Has Argo CD compare once more, as a change of the repository does where it calls Argo CD. @param how `hard` renders anew */
  async refresh(how: 'normal' | 'hard' = 'normal'): Promise<ApplicationStatus> {
    const annotation = 'argocd.argoproj.io/refresh';
    await this.api.mergePatch(pathOf(this.name), { metadata: { annotations: { [annotation]: how } } });
    await waitFor(
      `the ${how} refresh of ${this.name}`,
      async () => (await this.api.get(pathOf(this.name)))?.metadata.annotations[annotation],
      (left) => left === undefined,
      deadlineMs,
    );
    return this.status();
  }

  /** Waits until its status is as wanted. @throws Error with what it says instead */
  waitUntil(what: string, accepts: (status: ApplicationStatus) => boolean): Promise<ApplicationStatus> {
    return waitFor(`${this.name}: ${what}`, () => this.status(), accepts, deadlineMs);
  }

  /** Waits until a commit is synced, and the sync has ended. */
  async waitForSync(revision: string): Promise<ApplicationStatus> {
    await this.refresh();
    return this.waitUntil(
      `${revision} to be synced`,
      ({ sync, operationState }) =>
        sync?.status === 'Synced' && sync.revision === revision && operationState?.phase === 'Succeeded',
    );
  }

  waitForHealth(wanted: string): Promise<ApplicationStatus> {
    return this.waitUntil(`to be ${wanted}`, ({ health }) => health?.status === wanted);
  }

  /** Deletes it with everything that it made, and waits until all is gone. */
  async delete(): Promise<void> {
    await this.api.remove(pathOf(this.name));
    await waitFor(
      `${this.name} to be gone`,
      () => this.api.get(pathOf(this.name)),
      (object) => object === undefined,
      deadlineMs,
    );
  }

  /** Calls `onStatus` with each status that it ever has, until the signal aborts. */
  watch(signal: AbortSignal, onStatus: (status: ApplicationStatus) => void): Promise<void> {
    return this.api.watch(pathOf(), signal, (object) => {
      if (object.metadata.name === this.name) onStatus(status.parse(object.status ?? {}));
    });
  }
}

/** The health of each object that has one, as `Kind/name` to `Status: message`. */
export function healthOf({ resources }: ApplicationStatus): Record<string, string> {
  return Object.fromEntries(
    resources.flatMap(({ kind, name, health: one }) =>
      one === undefined || one.status === '' ? [] : [[`${kind}/${name}`, `${one.status}: ${one.message}`]],
    ),
  );
}
