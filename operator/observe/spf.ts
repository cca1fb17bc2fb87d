import type { SPFOptions } from 'mailauth';
import type { SpfFacts } from '../compile/model.ts';
import type { DnsClient, DnsOutcome } from './resolver.ts';

type Verdict = SpfFacts['senders'][number]['verdicts'][number];
type Resolve = NonNullable<SPFOptions['resolver']>;

/** Whether a text is an SPF record (RFC 7208 section 4.5). */
export function isSpf(text: string): boolean {
  return /^v=spf1( |$)/i.test(text);
}

/**
 * Evaluates the SPF record of a domain for some addresses, as a receiver that follows RFC 7208 to the letter does. Each name is
 * asked about once, however many addresses there are.
 *
 * @param heloName what the senders say in EHLO, for macros
 * @returns `failed` if DNS gave no answer on the way (temperror)
 */
export async function evaluateSpf(
  client: DnsClient,
  domain: string,
  heloName: string,
  addresses: readonly string[],
): Promise<DnsOutcome<readonly Verdict[]>> {
  // Loaded with the first check: it brings more code than all the rest of the operator's checks.
  const { spf } = await import('mailauth/lib/spf/index.js');
  const resolver = remembering(client);
  const verdicts: Verdict[] = [];
  for (const address of addresses) {
    const { status } = await spf({
      resolver,
      sender: `postmaster@${domain}`,
      ip: address,
      helo: heloName,
      mta: heloName,
      strict: true,
    });
    const { result, comment } = status;
    switch (result) {
      case 'pass':
      case 'fail':
      case 'softfail':
      case 'neutral':
      case 'none':
        verdicts.push({ address, result });
        break;
      case 'permerror':
        verdicts.push({ address, result, ...reasonIn(comment) });
        break;
      default:
        return {
          kind: 'failed',
          code: 'TEMPERROR',
          detail: 'a name of the SPF record was not answered (temperror)',
        };
    }
  }
  return { kind: 'found', value: verdicts };
}

/** The evaluator's words after "... during lookup of <sender>: ". They quote the record, which strangers write. */
function reasonIn(comment: unknown): { detail?: string } {
  if (typeof comment !== 'string') return {};
  const [, detail] = /during lookup of \S+: (.+)$/s.exec(comment) ?? [];
  return detail === undefined ? {} : { detail };
}

/** The client as the evaluator asks: answers as Node's resolver gives them, or an error with c-ares' code. */
function remembering(client: DnsClient): Resolve {
  const asked = new Map<string, Promise<DnsOutcome<readonly unknown[]>>>();
  const ask = (name: string, type: string): Promise<DnsOutcome<readonly unknown[]>> => {
    switch (type) {
      case 'TXT':
        return client.txt(name).then((texts) => mapped(texts, (text) => [text]));
      case 'A':
        return client.ipv4(name);
      case 'AAAA':
        return client.ipv6(name);
      case 'MX':
        return client.mailExchangers(name);
      case 'PTR':
        return client.pointers(name);
      default:
        return Promise.resolve({ kind: 'none' });
    }
  };
  const resolve = async (name: string, type: string) => {
    const question = `${type} ${name.toLowerCase()}`;
    const answer = asked.get(question) ?? ask(name, type);
    asked.set(question, answer);
    const outcome = await answer;
    if (outcome.kind === 'found') return [...outcome.value];
    const code = outcome.kind === 'none' ? 'ENOTFOUND' : outcome.code;
    throw Object.assign(new Error(`${type} ${name}: ${code}`), { code });
  };
  // Its type leaves out mail exchangers, which it asks for and reads as objects.
  return resolve as Resolve;
}

function mapped<T, R>(outcome: DnsOutcome<readonly T[]>, change: (value: T) => R): DnsOutcome<readonly R[]> {
  return outcome.kind === 'found' ? { kind: 'found', value: outcome.value.map(change) } : outcome;
}
