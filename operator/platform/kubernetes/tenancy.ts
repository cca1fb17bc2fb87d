import { releaseLeftObjects } from './left-objects.ts';
import type { KubernetesPlatform } from './platform.ts';
import type { MailOperator } from './runtime/mail-operator.ts';
import { Tenant } from './tenant.ts';
import { followKinds, type KindCaches, TenantCache } from './tenant-cache.ts';

export interface TenancyOptions {
  readonly operator: MailOperator;
  readonly platform: KubernetesPlatform;
  /** Namespaces to serve, or all in which there is an object of ours. */
  readonly namespaces: readonly string[] | 'all';
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Record<'info' | 'warn' | 'error', (message: string) => void>;
}

/**
 * Which namespaces are served. Those that are named are followed one by one, each with a Role of its own. An operator of the whole
 * cluster follows only the six kinds everywhere, and the rest (Secrets, pods) in namespaces that have objects of ours and, by the
 * RoleBinding of the tenant chart, let it. A namespace that does not let us keeps no other waiting.
 */
export class Tenancy {
  private readonly tenants = new Map<string, Promise<Tenant>>();
  private readonly open = new Map<string, Tenant>();
  private readonly options: TenancyOptions;
  private everywhere: KindCaches | undefined;
  private stopping = false;

  constructor(options: TenancyOptions) {
    this.options = options;
  }

  /** Begins to follow. Resolves when the API server has answered for the six kinds, if they are followed everywhere. */
  async start(): Promise<void> {
    const { operator, namespaces } = this.options;
    if (namespaces === 'all') {
      this.everywhere = await followKinds(operator, ({ metadata }) => metadata.namespace, undefined);
      return;
    }
    for (const namespace of namespaces) this.follow(namespace);
  }

  /** True when every namespace that was named is followed (for all: when the six kinds are). */
  get isReady(): boolean {
    const { namespaces } = this.options;
    if (namespaces === 'all') return this.everywhere !== undefined;
    return namespaces.every((namespace) => this.open.has(namespace));
  }

  /**
   * Stops following a namespace in which nothing of ours is left, mostly because it was deleted. An operator of the whole cluster
   * sees it when something is there again; a namespace that was named is followed all the same.
   *
   * @returns whether there is nothing to do for the namespace
   */
  async leave(namespace: string): Promise<boolean> {
    if (this.everywhere === undefined || !this.isIdle(namespace)) return false;
    if (!this.tenants.delete(namespace)) return true;
    this.open.delete(namespace);
    const { log, operator, platform } = this.options;
    platform.forget(namespace);
    log.info(`namespace ${namespace} has nothing of ours any more and is no longer followed`);
    await operator.unfollow(namespace);
    return true;
  }

  /** The namespace, if its caches are full; otherwise it is queued as soon as they are. */
  get(namespace: string): Tenant | undefined {
    this.follow(namespace);
    return this.open.get(namespace);
  }

  /** What can be done for a namespace that is not followed (yet), or may not be. */
  async tidy(namespace: string): Promise<void> {
    const { log, operator } = this.options;
    if (this.everywhere === undefined) return;
    await releaseLeftObjects({ operator, kinds: this.everywhere, namespace }, (message) => log.warn(message));
  }

  /** From now on a cache that does not fill any more is no error. */
  stop(): void {
    this.stopping = true;
  }

  private follow(namespace: string): void {
    if (this.tenants.has(namespace) || this.stopping) return;
    const { log, operator, platform } = this.options;
    const opening = this.openTenant(namespace);
    this.tenants.set(namespace, opening);
    opening.then(
      (tenant) => {
        // Left meanwhile.
        if (this.tenants.get(namespace) !== opening) return;
        platform.add(tenant);
        this.open.set(namespace, tenant);
        log.info(`namespace ${namespace} is followed`);
        operator.queue.add(namespace);
      },
      (error: unknown) => {
        if (this.tenants.get(namespace) !== opening) return;
        this.tenants.delete(namespace);
        if (!this.stopping) log.error(`namespace ${namespace} cannot be followed: ${String(error)}`);
      },
    );
  }

  private async openTenant(namespace: string): Promise<Tenant> {
    const { operator, now } = this.options;
    const kinds = this.everywhere ?? (await followKinds(operator, () => namespace, namespace));
    const tenant = new Tenant(namespace, kinds, operator.client, now);
    tenant.cache = await TenantCache.follow(operator, namespace, (resource, name) =>
      tenant.refersTo(resource, name),
    );
    return tenant;
  }

  /** Whether nothing in the namespace is worth following. One that does not let us is, while there is an object of ours. */
  private isIdle(namespace: string): boolean {
    const tenant = this.open.get(namespace);
    if (tenant !== undefined) return tenant.isIdle;
    return [...(this.everywhere?.values() ?? [])].every((cache) => cache.list(namespace).length === 0);
  }
}
