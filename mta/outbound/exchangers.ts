import { Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { replies } from '../../policy/reply.ts';
import type { Reply } from '../../policy/types.ts';

/** The questions that finding a mail server asks; `Resolver` of node:dns answers them. */
export type MailDns = Pick<Resolver, 'resolveMx' | 'resolve4' | 'resolve6'>;

/** One address of a mail server, under the name that DNS gave it. */
interface Exchanger {
  readonly name: string;
  readonly address: string;
}

/** Where mail of a domain goes, in the order in which it is tried; or the reply that says why nowhere, 4xx or 5xx. */
export type Exchangers = { readonly exchangers: readonly Exchanger[] } | { readonly reply: Reply };

/**
 * Most addresses that one attempt tries (RFC 5321 5.1 lets a client limit them, to no less than two; Postfix stops at five): a dead
 * one takes half a minute, and a domain can have fifty.
 */
const maxAddresses = 10;

/** @param servers `address` or `address:port`; empty: those of the system. */
export function mailDns(servers: readonly string[]): MailDns {
  const resolver = new Resolver({ timeout: 5_000, tries: 2 });
  if (servers.length > 0) resolver.setServers(servers);
  return resolver;
}

/**
 * Finds the mail servers of a domain (RFC 5321 5.1, RFC 7505).
 * An address that stands under several names is tried once, under the best one.
 * @param ourName an exchanger of this name is us: it and all that come after it are not tried.
 * @param mayUse refuses addresses that are not for the public (R7).
 */
export async function findExchangers(
  domain: string,
  dns: MailDns,
  ourName: string,
  mayUse: (address: string) => boolean,
): Promise<Exchangers> {
  const records = await recordsOf(domain, dns);
  if ('reply' in records) return records;
  const { names } = records;
  const ourPlace = names.indexOf(ourName);
  const usable = ourPlace === -1 ? names : names.slice(0, ourPlace);
  if (usable.length === 0) return permanent('5.4.6', `the MX of ${domain} is this server`);
  const answers = await Promise.all(usable.map((name) => addressesOf(name, dns)));
  const found = answers.flatMap(({ name, addresses }) => addresses.map((address) => ({ name, address })));
  const first = new Map(found.toReversed().map((exchanger) => [exchanger.address, exchanger] as const));
  const exchangers = found.filter((each) => mayUse(each.address) && first.get(each.address) === each);
  if (exchangers.length > 0) return { exchangers: exchangers.slice(0, maxAddresses) };
  if (answers.some(({ failed }) => failed))
    return temporary(`the servers of ${domain} cannot be resolved now`);
  return found.length > 0
    ? permanent('5.4.4', `${domain} leads to an address that is not public`)
    : permanent('5.4.4', `the MX of ${domain} has no address`);
}

/** Names of mail servers, best first; equal preferences in random order. */
async function recordsOf(
  domain: string,
  dns: MailDns,
): Promise<{ readonly names: readonly string[] } | { readonly reply: Reply }> {
  try {
    const records = (await dns.resolveMx(domain)).map(({ priority, exchange }) => ({
      priority,
      name: exchange.toLowerCase().replace(/\.$/, ''),
      order: Math.random(),
    }));
    if (records.length > 0 && records.every(({ name }) => name === '')) return { reply: nullMx };
    const sorted = records
      .filter(({ name }) => name !== '' && isIP(name) === 0)
      .sort((left, right) => left.priority - right.priority || left.order - right.order);
    if (sorted.length === 0) return permanent('5.4.4', `the MX of ${domain} is no host name`);
    return { names: sorted.map(({ name }) => name) };
  } catch (error) {
    const code = codeOf(error);
    // No MX at all: the domain's own addresses (the "implicit MX").
    if (code === 'ENODATA') return { names: [domain] };
    if (code === 'ENOTFOUND') return permanent('5.1.2', `${domain} does not exist`);
    return temporary(`the MX of ${domain} cannot be looked up now (${code})`);
  }
}

async function addressesOf(
  name: string,
  dns: MailDns,
): Promise<{ name: string; addresses: readonly string[]; failed: boolean }> {
  const answers = await Promise.allSettled([dns.resolve4(name), dns.resolve6(name)]);
  return {
    name,
    addresses: answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : [])),
    failed: answers.some(
      (answer) => answer.status === 'rejected' && !['ENODATA', 'ENOTFOUND'].includes(codeOf(answer.reason)),
    ),
  };
}

const nullMx: Reply = (({ code, enhanced, text }) => ({ code, enhanced, text }))(replies.nullMx);

function permanent(enhanced: string, text: string): { readonly reply: Reply } {
  return { reply: { code: 550, enhanced, text } };
}

function temporary(text: string): { readonly reply: Reply } {
  return { reply: { code: 451, enhanced: '4.4.3', text } };
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
