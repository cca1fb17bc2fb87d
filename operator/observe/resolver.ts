import { promises as dns } from 'node:dns';
import { isIPv6 } from 'node:net';

/** How DNS is asked. */
export interface DnsOptions {
  /** Recursive resolvers as `address:port` (`[::1]:53`), asked in this order; empty: those of the machine. */
  readonly resolvers: readonly string[];
  /** Where the authoritative server with this IP address listens, as `address:port`: port 53, but for tests. */
  readonly authoritativeServer: (address: string) => string;
  /** For one try of one query. */
  readonly timeoutMs: number;
  readonly tries: number;
  /** For one whole check, however many servers and aliases it meets. */
  readonly deadlineMs: number;
}

/** Long enough for a slow secondary, short enough that a check of 13 dead servers ends within its deadline. */
export const defaultDnsOptions: DnsOptions = {
  resolvers: [],
  authoritativeServer: (address) => (isIPv6(address) ? `[${address}]:53` : `${address}:53`),
  timeoutMs: 2_000,
  tries: 2,
  deadlineMs: 30_000,
};

/** What one query gave. `none`: the server says that there is no such record; `failed`: nobody said anything usable. */
export type DnsOutcome<T> =
  | { readonly kind: 'found'; readonly value: T }
  | { readonly kind: 'none' }
  | { readonly kind: 'failed'; readonly code: string; readonly detail: string };

interface MailExchanger {
  readonly exchange: string;
  readonly priority: number;
}

/** Questions to one server, or to the recursive resolvers. None of them throws for an answer. */
export interface DnsClient {
  /** One string per TXT record, its parts joined (RFC 6376 section 3.6.2.2). */
  txt(name: string): Promise<DnsOutcome<readonly string[]>>;
  cname(name: string): Promise<DnsOutcome<string>>;
  nameServers(name: string): Promise<DnsOutcome<readonly string[]>>;
  /** IPv4 addresses, or IPv6 ones if there are none. */
  addresses(name: string): Promise<DnsOutcome<readonly string[]>>;
  ipv4(name: string): Promise<DnsOutcome<readonly string[]>>;
  ipv6(name: string): Promise<DnsOutcome<readonly string[]>>;
  /** In no order. A null MX (RFC 7505) has an empty name. */
  mailExchangers(name: string): Promise<DnsOutcome<readonly MailExchanger[]>>;
  /** Names under `in-addr.arpa` or `ip6.arpa`. */
  pointers(name: string): Promise<DnsOutcome<readonly string[]>>;
}

/**
 * Opens a client.
 *
 * @param servers `address:port`; empty: the resolvers of the machine
 * @param signal cancels what is being asked: queries then give `failed`
 */
export function openDnsClient(
  servers: readonly string[],
  options: Pick<DnsOptions, 'timeoutMs' | 'tries'>,
  signal: AbortSignal,
): DnsClient {
  // c-ares doubles its patience with every try; two tries of the same length are easier to bound.
  const resolver = new dns.Resolver({
    timeout: options.timeoutMs,
    maxTimeout: options.timeoutMs,
    tries: options.tries,
  });
  if (servers.length > 0) resolver.setServers(servers);
  const ask = async <T>(query: () => Promise<readonly T[]>): Promise<DnsOutcome<readonly T[]>> => {
    if (signal.aborted) return { kind: 'failed', code: 'ECANCELLED', detail: failures.ECANCELLED };
    const cancel = () => resolver.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const value = await query();
      // An answer that holds an alias and nothing else comes as an empty list.
      return value.length === 0 ? { kind: 'none' } : { kind: 'found', value };
    } catch (error) {
      return outcomeOf(error);
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  };
  return {
    txt: (name) => ask(async () => (await resolver.resolveTxt(name)).map((strings) => strings.join(''))),
    cname: async (name) => first(await ask(() => resolver.resolveCname(name))),
    nameServers: (name) => ask(() => resolver.resolveNs(name)),
    ipv4: (name) => ask(() => resolver.resolve4(name)),
    ipv6: (name) => ask(() => resolver.resolve6(name)),
    mailExchangers: (name) => ask(() => resolver.resolveMx(name)),
    pointers: (name) => ask(() => resolver.resolvePtr(name)),
    addresses: async (name) => {
      const ipv4 = await ask(() => resolver.resolve4(name));
      return ipv4.kind === 'none' ? ask(() => resolver.resolve6(name)) : ipv4;
    },
  };
}

function first(outcome: DnsOutcome<readonly string[]>): DnsOutcome<string> {
  if (outcome.kind !== 'found') return outcome;
  const [value] = outcome.value;
  return value === undefined ? { kind: 'none' } : { kind: 'found', value: value.toLowerCase() };
}

/** In a user's words; the codes are those of c-ares. */
const failures = {
  ESERVFAIL: 'it answers SERVFAIL',
  EREFUSED: 'it refuses the question',
  ETIMEOUT: 'it does not answer in time',
  ECANCELLED: 'it does not answer in time',
  ECONNREFUSED: 'nothing listens there',
} as const;

function outcomeOf(error: unknown): DnsOutcome<never> {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  // Not of DNS: a fault of ours must not look like an answer.
  if (code === undefined || !code.startsWith('E') || code.startsWith('ERR_')) throw error;
  // A name that DNS cannot hold does not exist either; records of strangers may lead to one.
  if (code === 'ENOTFOUND' || code === 'ENODATA' || code === 'EBADNAME') return { kind: 'none' };
  const known = Object.entries(failures).find(([name]) => name === code);
  return { kind: 'failed', code, detail: known?.[1] ?? `the question failed (${code})` };
}
