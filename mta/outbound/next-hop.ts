import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import type { HarakaHop } from '../haraka.ts';
import type { MailDns } from './exchangers.ts';

/**
 * The addresses that a Route leads to, in the order in which they are tried. Names are resolved here and not by Haraka,
 * which asks DNS only: a name of the machine's own (hosts file, search domains) counts as well. No hop is marked as found by
 * DNS: for such ones Haraka has rules of its own (no loopback), which are meant for MX records.
 * @returns none if the name leads nowhere now.
 */
export async function resolveRoute(
  route: RoutePolicy,
  heloName: string,
  auth: { username: string; password: string } | undefined,
  dns: MailDns,
): Promise<HarakaHop[]> {
  const hops: HarakaHop[] = [];
  for (const host of await exchangers(route, dns)) {
    for (const address of await addressesOf(host, dns)) {
      hops.push({
        exchange: address,
        port: route.port,
        bind_helo: heloName,
        using_lmtp: route.protocol === 'LMTP',
        ...(auth && { auth_user: auth.username, auth_pass: auth.password }),
      });
    }
  }
  return hops;
}

async function exchangers({ host, lookupMx }: RoutePolicy, dns: MailDns): Promise<string[]> {
  if (!lookupMx || isIP(host) !== 0) return [host];
  const records = await dns.resolveMx(host).catch(() => []);
  const sorted = records
    .toSorted((left, right) => left.priority - right.priority)
    .map(({ exchange }) => exchange);
  return sorted.length === 0 ? [host] : sorted;
}

async function addressesOf(host: string, dns: MailDns): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  const answers = await Promise.allSettled([dns.resolve4(host), dns.resolve6(host)]);
  const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
  if (found.length > 0) return found;
  return (await lookup(host, { all: true }).catch(() => [])).map(({ address }) => address);
}
