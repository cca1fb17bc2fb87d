import type {
  DmarcFacts,
  DnsFact,
  MailDnsObservation,
  MailSender,
  MxFacts,
  SpfFacts,
  Want,
} from '../compile/model.ts';
import { type DnsClient, type DnsOptions, type DnsOutcome, openDnsClient } from './resolver.ts';
import { evaluateSpf, isSpf } from './spf.ts';

/** Mail exchangers whose addresses are looked up, and addresses of one name that are used: strangers write both. */
const maxExchangers = 16;
const maxAddresses = 16;
/** Longest name that the tree walk asks about besides the domain itself (RFC 9989 section 4.10). */
const maxWalkLabels = 7;

/**
 * Asks the resolver about the records of a mail domain, as other mail servers do: MX with addresses, SPF with what it says of
 * every sender, and DMARC up to the top-level domain.
 *
 * @param now milliseconds since the epoch; read once, when the check begins
 * @param signal ends the check early
 * @throws the signal's reason if it was aborted; nothing for what DNS says
 */
export async function checkMailDns(
  check: Extract<Want, { kind: 'checkMailDns' }>,
  dns: DnsOptions,
  now: () => number,
  signal: AbortSignal,
): Promise<MailDnsObservation> {
  signal.throwIfAborted();
  const checkedAt = now();
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(dns.deadlineMs)]);
  const client = openDnsClient(dns.resolvers, dns, bounded);
  const [mx, spf, dmarc] = await Promise.all([
    askMx(client, check.domain, check.heloName.toLowerCase()),
    askSpf(client, check),
    askDmarc(client, check.domain),
  ]);
  signal.throwIfAborted();
  const { mailDomain, question } = check;
  return { mailDomain, question, checkedAt, unchanged: 0, mx, spf, dmarc };
}

async function askMx(client: DnsClient, domain: string, heloName: string): Promise<DnsFact<MxFacts>> {
  const records = await client.mailExchangers(domain);
  if (records.kind === 'failed') return unanswered(`MX of ${domain}`, records);
  const written = records.kind === 'none' ? [] : records.value;
  const sorted = written
    .map(({ exchange, priority }) => ({
      host: exchange.replace(/\.$/, '').toLowerCase(),
      preference: priority,
    }))
    .sort((left, right) => left.preference - right.preference || (left.host < right.host ? -1 : 1));
  const exchangers: MxFacts['exchangers'][number][] = [];
  for (const one of sorted.slice(0, maxExchangers)) {
    const addresses = one.host === '' ? found([]) : await addressesOf(client, one.host);
    if (addresses.kind === 'failed') return unanswered(`the address of ${one.host}`, addresses);
    exchangers.push({ ...one, addresses: addresses.kind === 'found' ? addresses.value : [] });
  }
  if (exchangers.every(({ host }) => host === heloName || host === '')) {
    return answered({ exchangers, ownAddresses: [] });
  }
  const own = await addressesOf(client, heloName);
  if (own.kind === 'failed') return unanswered(`the address of ${heloName}`, own);
  return answered({ exchangers, ownAddresses: own.kind === 'found' ? own.value : [] });
}

async function askSpf(
  client: DnsClient,
  { domain, heloName, senders }: Extract<Want, { kind: 'checkMailDns' }>,
): Promise<DnsFact<SpfFacts>> {
  const texts = await client.txt(domain);
  if (texts.kind === 'failed') return unanswered(`TXT of ${domain}`, texts);
  const records = texts.kind === 'none' ? [] : texts.value.filter(isSpf).sort();
  const facts: SpfFacts['senders'][number][] = [];
  for (const sender of senders) {
    const addresses = await sendingAddresses(client, sender);
    if (addresses.kind === 'failed') return unanswered(`the address of ${sender.host?.name}`, addresses);
    const known = addresses.kind === 'found' ? addresses.value : [];
    const verdicts = await evaluateSpf(client, domain, heloName, known);
    if (verdicts.kind === 'failed') return unanswered(`SPF of ${domain}`, verdicts);
    facts.push({ what: sender.what, verdicts: verdicts.kind === 'found' ? verdicts.value : [] });
  }
  return answered({ records, senders: facts });
}

async function sendingAddresses(
  client: DnsClient,
  { addresses, host }: MailSender,
): Promise<DnsOutcome<readonly string[]>> {
  if (host === undefined) return found(addresses);
  if (!host.lookupMx) return addressesOf(client, host.name);
  const records = await client.mailExchangers(host.name);
  if (records.kind !== 'found') return records;
  const all = new Set<string>();
  for (const { exchange } of records.value.slice(0, maxExchangers)) {
    const some = await addressesOf(client, exchange);
    if (some.kind === 'failed') return some;
    if (some.kind === 'found') for (const address of some.value) all.add(address);
  }
  return found([...all].sort());
}

/** TXT at `_dmarc.` of the domain and of the names above it; a record with a psd tag y or n ends the walk. */
async function askDmarc(client: DnsClient, domain: string): Promise<DnsFact<DmarcFacts>> {
  const facts: DmarcFacts[number][] = [];
  for (const name of walkOf(domain)) {
    const texts = await client.txt(`_dmarc.${name}`);
    if (texts.kind === 'failed') {
      // A record at the domain itself holds whatever is above it.
      if (facts[0]?.records.length) break;
      return unanswered(`TXT of _dmarc.${name}`, texts);
    }
    const records = texts.kind === 'none' ? [] : [...texts.value].sort();
    facts.push({ name, records });
    if (records.some((text) => /;\s*psd\s*=\s*[yn]\s*(;|$)/i.test(text))) break;
  }
  return answered(facts);
}

function* walkOf(domain: string): Generator<string> {
  yield domain;
  const labels = domain.split('.');
  const above = labels.length > maxWalkLabels ? labels.slice(-maxWalkLabels) : labels.slice(1);
  for (let at = 0; at < above.length; at += 1) yield above.slice(at).join('.');
}

/** IPv4 and IPv6 addresses, sorted. */
async function addressesOf(client: DnsClient, name: string): Promise<DnsOutcome<readonly string[]>> {
  const both = await Promise.all([client.ipv4(name), client.ipv6(name)]);
  const failed = both.find(({ kind }) => kind === 'failed');
  if (failed?.kind === 'failed') return failed;
  const addresses = both.flatMap((outcome) => (outcome.kind === 'found' ? outcome.value : []));
  return found(addresses.sort().slice(0, maxAddresses));
}

function found<T>(value: T): DnsOutcome<T> {
  return { kind: 'found', value };
}

function answered<T>(value: T): DnsFact<T> {
  return { answered: true, value, failures: 0 };
}

function unanswered(what: string, { detail }: { readonly detail: string }): DnsFact<never> {
  return { answered: false, detail: `${what}: ${detail}`, failures: 1 };
}
