import { canonicalJson } from '../bundle/canonical.ts';
import type { DomainPolicy, GatewayPolicy } from '../bundle/domain-policy.ts';
import type { PolicyBundle, PolicyRules } from '../bundle/policy-bundle.ts';
import type { RangeList } from '../bundle/range-list.ts';
import { hash64 } from './hash.ts';
import { buildRangeIndex } from './ip/range-index.ts';
import { compilePatterns } from './junk-pattern.ts';
import { ListDraft } from './list-draft.ts';
import { canonicalDomain } from './mailbox.ts';
import { buildPeerTable } from './peer-table.ts';
import type { AccessList, Domain, Gateway, Policy } from './policy.ts';
import { workInSlices } from './slices.ts';

export type { Policy } from './policy.ts';

/** How to load. */
export interface LoadOptions {
  /** Called between slices of work, each far below 5 ms: let the event loop turn in it. */
  readonly pause?: () => Promise<void>;
}

/**
 * Indexes a bundle for judgement. The caller keeps the old Policy until this one is whole, and may drop the bundle then.
 * @throws Error naming the object and value if the bundle contradicts itself: the old policy stays in force.
 */
export async function loadPolicy(bundle: PolicyBundle, options: LoadOptions = {}): Promise<Policy> {
  const lists = await workInSlices(loadLists(bundle.lists), options.pause);
  return loadRules(bundle, lists, options);
}

/**
 * Indexes the rules of a bundle over lists that are indexed already: an MTA reads lists piece by piece (`ListDraft`) and
 * takes those that have not changed over from the policy before.
 * @param lists by key; parameters and errors otherwise as `loadPolicy`.
 */
export function loadRules(
  rules: PolicyRules,
  lists: ReadonlyMap<string, AccessList>,
  options: LoadOptions = {},
): Promise<Policy> {
  return workInSlices(indexRules(rules, lists), options.pause);
}

function* loadLists(lists: readonly RangeList[]): Generator<void, Map<string, AccessList>> {
  const loaded = new Map<string, AccessList>();
  for (const { key, source, ranges, expires } of lists) {
    if (loaded.has(key)) throw new Error(`list ${key}: stands twice in the bundle`);
    const draft = new ListDraft(key);
    yield* draft.add(ranges, expires);
    loaded.set(key, yield* draft.finish(source));
    yield;
  }
  return loaded;
}

function* indexRules(rules: PolicyRules, lists: ReadonlyMap<string, AccessList>): Generator<void, Policy> {
  return {
    lists,
    domains: yield* loadDomains(rules.domains, lists),
    audited: yield* loadDomains(rules.audited, lists),
    routes: new Map(rules.routes.map((route) => [route.name, route])),
  };
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
  const gateway = policy.gateway && (yield* loadGateway(policy.domain, policy.gateway));
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

function* loadGateway(domain: string, policy: GatewayPolicy): Generator<void, Gateway> {
  try {
    const addresses = yield* buildRangeIndex(policy.addresses, {});
    return { policy, addresses, junkPatterns: yield* compilePatterns(policy) };
  } catch (cause) {
    throw new Error(`domain ${domain}: gateway: ${messageOf(cause)}`, { cause });
  }
}

/** The bundle promises the order; a wrong one would refuse recipients that exist, so it is looked at. */
function inOrder(texts: readonly string[]): readonly string[] {
  const sorted = texts.every((text, i) => i === 0 || (texts[i - 1] ?? '') < text);
  return sorted ? texts : [...texts].sort((a, b) => (a < b ? -1 : 1));
}

function messageKeys({
  access,
  authentication,
  contentFilter,
  maxMessageBytes,
  gateway,
  tls,
}: DomainPolicy): Domain['keys'] {
  const { addresses, skipContentFilter, trustedAuthservId } = gateway ?? {};
  return {
    direct: hash64(canonicalJson({ authentication, contentFilter, maxMessageBytes })),
    gateway: hash64(canonicalJson({ access, addresses, skipContentFilter, trustedAuthservId })),
    plain: hash64(canonicalJson(tls.inbound.map(({ peer }) => peer))),
  };
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
