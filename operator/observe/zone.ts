import type { DnsClient, DnsOutcome } from './resolver.ts';

/** An authoritative server of a zone, with the addresses under which it can be asked. */
export interface NameServer {
  readonly name: string;
  readonly addresses: DnsOutcome<readonly string[]>;
}

/** Addresses of one name server that are asked; anycast operators publish one or two. */
const maxAddresses = 4;

/**
 * Finds the zone of a name by climbing its labels to the first that has NS records, and the servers of that zone.
 *
 * @param resolver recursive
 * @param name without a final dot
 * @returns `none` if no zone up to the top-level domain exists
 */
export async function findNameServers(
  resolver: DnsClient,
  name: string,
): Promise<DnsOutcome<readonly NameServer[]>> {
  for (const candidate of selfAndParents(name)) {
    // An alias is no zone, and asking a resolver for its NS would give those of the alias's target.
    const alias = await resolver.cname(candidate);
    if (alias.kind === 'failed') return alias;
    if (alias.kind === 'found') continue;
    const servers = await resolver.nameServers(candidate);
    if (servers.kind === 'failed') return servers;
    if (servers.kind === 'found') {
      return { kind: 'found', value: await withAddresses(resolver, servers.value) };
    }
  }
  return { kind: 'none' };
}

function* selfAndParents(name: string): Generator<string> {
  const labels = name.split('.');
  for (let at = 0; at < labels.length; at++) yield labels.slice(at).join('.');
}

async function withAddresses(resolver: DnsClient, names: readonly string[]): Promise<NameServer[]> {
  const sorted = [...new Set(names.map((name) => name.toLowerCase()))].sort();
  return Promise.all(
    sorted.map(async (name) => {
      const addresses = await resolver.addresses(name);
      if (addresses.kind !== 'found') return { name, addresses };
      return {
        name,
        addresses: { kind: 'found', value: [...addresses.value].sort().slice(0, maxAddresses) },
      };
    }),
  );
}
