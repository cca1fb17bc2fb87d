import type { MxRecord } from 'node:dns';
import { Resolver } from 'node:dns/promises';
import { LRUCache } from 'lru-cache';

/** Asks a name server; rejects with the codes of node:dns (`ENOTFOUND`, `ENODATA`, `ETIMEOUT`, `ESERVFAIL`, ...). */
export type Ask = (name: string, type: string) => Promise<Records>;

/** As node:dns gives them: texts in parts, mail exchangers as objects, all others as text. */
type Records = string[] | string[][] | MxRecord[];

/** Answers that are kept, and for how many milliseconds. node:dns shows no TTL of TXT records, so it is short. */
const maxAnswers = 10_000;
const foundMs = 60_000;
const noneMs = 15_000;

/** For one try of one question, in milliseconds, and how many tries there are. */
const tryMs = 1_500;
const tries = 2;

/**
 * DNS as sender authentication asks it. Answers are kept for a while, so that a flood of mail from one sender is not a flood
 * of questions; questions that are on their way are shared; failures are never kept.
 * @param servers `address:port`; empty: those of the machine.
 * @param ask for tests.
 */
export function cachedDns(servers: readonly string[], ask: Ask = askServers(servers)): Ask {
  const answers = new LRUCache<string, Promise<Answer>>({ max: maxAnswers, ttl: foundMs });
  return async (name, type) => {
    const key = `${type} ${name.toLowerCase()}`;
    let pending = answers.get(key);
    if (pending === undefined) {
      pending = settle(ask(name, type));
      answers.set(key, pending);
      pending.then(
        (answer) => {
          if (answer.kind === 'none') answers.set(key, Promise.resolve(answer), { ttl: noneMs });
          else if (answer.kind === 'failed') answers.delete(key);
        },
        () => answers.delete(key),
      );
    }
    const answer = await pending;
    if (answer.kind === 'found') return answer.records;
    throw failure(`${type} ${name}: ${answer.code}`, answer.code);
  };
}

/**
 * A new one for everybody: whoever catches it writes on it. It has no stack, which would take longer than all else here: that a name has
 * no record is said several times for each mail.
 */
function failure(message: string, code: string): Error {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return Object.assign(new Error(message), { code });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

type Answer =
  | { readonly kind: 'found'; readonly records: Records }
  | { readonly kind: 'none' | 'failed'; readonly code: string };

async function settle(question: Promise<Records>): Promise<Answer> {
  try {
    return { kind: 'found', records: await question };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'ESERVFAIL';
    const none = code === 'ENOTFOUND' || code === 'ENODATA';
    return { kind: none ? 'none' : 'failed', code };
  }
}

function askServers(servers: readonly string[]): Ask {
  const resolver = new Resolver({ timeout: tryMs, maxTimeout: tryMs, tries });
  if (servers.length > 0) resolver.setServers(servers);
  return async (name, type) => {
    switch (type) {
      case 'TXT':
        return resolver.resolveTxt(name);
      case 'A':
        return resolver.resolve4(name);
      case 'AAAA':
        return resolver.resolve6(name);
      case 'MX':
        return resolver.resolveMx(name);
      case 'PTR':
        return resolver.resolvePtr(name);
      case 'CNAME':
        return resolver.resolveCname(name);
      default:
        throw new Error(`nobody asks for ${type}`);
    }
  };
}
