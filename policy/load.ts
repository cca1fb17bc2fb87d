import { canonicalJson } from '../bundle/canonical.ts';
import type { DomainPolicy } from '../bundle/domain-policy.ts';
import type { PolicyBundle } from '../bundle/policy-bundle.ts';
import type { RangeList } from '../bundle/range-list.ts';
import { basis, extend, hash64, mix, otherFactor } from './hash.ts';
import type { RangeIndex } from './ip/range-index.ts';
import { buildRangeIndex } from './ip/range-index.ts';
import { canonicalDomain } from './mailbox.ts';
import { buildPeerTable } from './peer-table.ts';
import type { AccessList, Domain, Policy } from './policy.ts';

export type { Policy } from './policy.ts';

/** How to load. */
export interface LoadOptions {
  /** Lists whose entries have not changed are taken over from it. */
  readonly previous?: Policy;
  /** Called between slices of work, each far below 5 ms: let the event loop turn in it. */
  readonly pause?: () => Promise<void>;
}

/** Entries hashed between two pauses; building an index pauses by itself. */
const slice = 4096;

/**
 * Indexes a bundle for judgement. The caller keeps the old Policy until this one is whole, and may drop the bundle then.
 * @throws Error naming the object and value if the bundle contradicts itself: the old policy stays in force.
 */
export async function loadPolicy(bundle: PolicyBundle, options: LoadOptions = {}): Promise<Policy> {
  const work = load(bundle, options.previous);
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    await options.pause?.();
  }
}

function* load(bundle: PolicyBundle, previous: Policy | undefined): Generator<void, Policy> {
  const lists = new Map<string, AccessList>();
  for (const list of bundle.lists) {
    if (lists.has(list.key)) throw new Error(`list ${list.key}: stands twice in the bundle`);
    lists.set(list.key, yield* loadList(list, previous?.lists.get(list.key)));
  }
  return {
    lists,
    domains: yield* loadDomains(bundle.domains, lists),
    audited: yield* loadDomains(bundle.audited, lists),
    routes: new Map(bundle.routes.map((route) => [route.name, route])),
  };
}

function* loadList(list: RangeList, previous: AccessList | undefined): Generator<void, AccessList> {
  const fingerprint = yield* fingerprintOf(list);
  if (previous?.fingerprint === fingerprint) {
    return { source: list.source, index: previous.index, fingerprint };
  }
  try {
    const index = yield* buildRangeIndex(list.ranges, list.expires);
    yield;
    return { source: list.source, index, fingerprint };
  } catch (cause) {
    throw new Error(`list ${list.key} (${list.source.kind} ${list.source.name}): ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** 64 bits over all entries: five times cheaper than indexing them, and a collision needs 2^32 versions of one list. */
function* fingerprintOf({ ranges, expires }: RangeList): Generator<void, string> {
  let one = basis;
  let two = basis;
  const add = (text: string) => {
    one = extend(extend(one, text), '\n');
    two = extend(extend(two, text, otherFactor), '\n', otherFactor);
  };
  for (let i = 0; i < ranges.length; i++) {
    add(ranges[i] ?? '');
    if (i % slice === slice - 1) yield;
  }
  for (const [text, until] of Object.entries(expires)) add(`${text} until ${until}`);
  return `${ranges.length} ${mix(one)} ${mix(two)}`;
}

function* loadDomains(
  policies: readonly DomainPolicy[],
  lists: ReadonlyMap<string, AccessList>,
): Generator<void, ReadonlyMap<string, Domain>> {
  const domains = new Map<string, Domain>();
  for (const policy of policies) {
    const name = canonicalDomain(policy.domain);
    if (domains.has(name)) throw new Error(`domain ${name}: stands twice in the bundle`);
    domains.set(name, yield* loadDomain(policy, lists));
    yield;
  }
  return domains;
}

function* loadDomain(policy: DomainPolicy, lists: ReadonlyMap<string, AccessList>): Generator<void, Domain> {
  const pick = (keys: readonly string[]) =>
    keys.map((key) => {
      const list = lists.get(key);
      if (list === undefined) throw new Error(`domain ${policy.domain}: list ${key} is not in the bundle`);
      return list;
    });
  const gateway = policy.gateway && {
    policy: policy.gateway,
    addresses: yield* loadGatewayAddresses(policy.domain, policy.gateway.addresses),
  };
  return {
    policy,
    allow: pick(policy.access.allow),
    block: pick(policy.access.block),
    ...(gateway && { gateway }),
    tlsPeers: buildPeerTable(policy.tls.inbound),
    localParts: inOrder(policy.recipients.localParts),
    keys: messageKeys(policy),
  };
}

function* loadGatewayAddresses(domain: string, addresses: readonly string[]): Generator<void, RangeIndex> {
  try {
    return yield* buildRangeIndex(addresses, {});
  } catch (cause) {
    throw new Error(`domain ${domain}: gateway address ${messageOf(cause)}`, { cause });
  }
}

/** The bundle promises the order; a wrong one would refuse recipients that exist, so it is looked at. */
function inOrder(texts: readonly string[]): readonly string[] {
  const sorted = texts.every((text, i) => i === 0 || (texts[i - 1] ?? '') < text);
  return sorted ? texts : [...texts].sort((a, b) => (a < b ? -1 : 1));
}

function messageKeys({
  authentication,
  contentFilter,
  maxMessageBytes,
  gateway,
  tls,
}: DomainPolicy): Domain['keys'] {
  const { addresses, skipContentFilter, trustedAuthservId } = gateway ?? {};
  return {
    direct: hash64(canonicalJson({ authentication, contentFilter, maxMessageBytes })),
    gateway: hash64(canonicalJson({ addresses, skipContentFilter, trustedAuthservId })),
    plain: hash64(canonicalJson(tls.inbound.map(({ peer }) => peer))),
  };
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
