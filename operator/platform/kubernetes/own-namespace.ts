import { annotations } from './names.ts';
import { ApiError } from './runtime/api-error.ts';
import type { ApiClient } from './runtime/client.ts';
import { isResource } from './runtime/resource.ts';

/** A namespace is read by GET, since a Role cannot allow to watch it: this often at most. */
const freshMs = 10_000;

/**
 * What the Namespace object says: which domains it may have (annotation postern.dev/domains, the cluster admin's to say), and whether
 * it is being deleted.
 */
export class OwnNamespace {
  private readonly client: ApiClient;
  private readonly namespace: string;
  private readonly now: () => number;
  private known: readonly string[] | undefined;
  private readAt = Number.NEGATIVE_INFINITY;
  private terminating = false;

  /** @param now milliseconds since the epoch */
  constructor(client: ApiClient, namespace: string, now: () => number) {
    this.client = client;
    this.namespace = namespace;
    this.now = now;
  }

  /** True as soon as we know: nothing new may be made in it, and all that is there goes. */
  get isTerminating(): boolean {
    return this.terminating;
  }

  /** The API server has refused a write for that reason, before the object was read anew. */
  noteTerminating(): void {
    this.terminating = true;
  }

  /**
   * Domain names and `*.` patterns, or undefined if the annotation is not there or the operator may not read namespaces: then the
   * admission policy alone guards.
   *
   * @throws ApiError if the API server cannot be asked and nothing is known yet
   */
  async allowedDomains(): Promise<readonly string[] | undefined> {
    if (!this.terminating && this.now() - this.readAt < freshMs) return this.known;
    try {
      const object = await this.client.request('GET', `/api/v1/namespaces/${this.namespace}`);
      const metadata = isResource(object) ? object.metadata : undefined;
      // Not taken back but by another namespace of this name.
      this.terminating = metadata?.deletionTimestamp !== undefined;
      const text = metadata?.annotations?.[annotations.domains];
      this.known = text === undefined ? undefined : parseDomains(text);
    } catch (error) {
      const mayNotRead = error instanceof ApiError && error.code === 403;
      // An outage must not open what was closed: what was read last stays.
      if (!mayNotRead && this.readAt === Number.NEGATIVE_INFINITY) throw error;
    }
    this.readAt = this.now();
    return this.known;
  }
}

/** `example.com, *.example.org` as a list, in lower case. */
function parseDomains(text: string): string[] {
  return text
    .split(',')
    .map((domain) => domain.trim().toLowerCase())
    .filter((domain) => domain !== '');
}
