import { RE2JS } from 're2js';
import type { GatewayPolicy } from '../../bundle/domain-policy.ts';
import { compareText } from '../../bundle/shards.ts';
import { formatRange, parseRange, type Range } from '../../policy/ip/range.ts';
import type { InboundGateway } from '../api/index.ts';
import { type ConditionInput, condition } from './conditions.ts';
import { Places } from './conflicts.ts';
import { acceptedFrom, type DomainVerdict, refuses, takes, targetsOf } from './domain-refs.ts';
import type { Domains, Hosted } from './domains.ts';
import type { HopKey } from './hop-key.ts';
import type { Snapshot } from './model.ts';
import { sourceOf } from './objects.ts';
import { guardOf, untrustedRanges } from './range-guard.ts';
import { checkRoute, nameOf, type References, type RefProblem, resolvedRefs } from './references.ts';

/** One InboundGateway with what the domains make of it. */
export interface Gateway {
  readonly object: InboundGateway;
  readonly policy: GatewayPolicy;
  readonly ranges: readonly Range[];
  readonly verdicts: readonly DomainVerdict[];
  /** Names of the MailDomains it acts on (or would, in Audit); empty while suspended. */
  readonly domains: ReadonlySet<string>;
  /** Addresses that are left out because the cluster has them (G14). */
  readonly untrusted: readonly string[];
  readonly accepted: ConditionInput;
  readonly resolvedRefs: ConditionInput;
}

/**
 * Gives each domain its gateway: the oldest that names it (D17). A suspended one counts as not there (D1).
 *
 * @param objects oldest first
 */
export function compileGateways(
  objects: readonly InboundGateway[],
  domains: Domains,
  around: { readonly references: References; readonly hopKey: HopKey; readonly snapshot: Snapshot },
): Gateway[] {
  const { references, hopKey, snapshot } = around;
  const places = new Places<InboundGateway>();
  return objects.map((object) => {
    const { suspend, domainRefs, routeRef, spam, internalMailViaGateway } = object.spec;
    const targets = targetsOf(domainRefs, domains);
    const verdicts = [...targets.hosted.map((hosted) => judge(object, hosted, places)), ...targets.missing];
    const faults = spam.junkPatterns.flatMap((pattern, index) => faultOf(pattern, index));
    const bad = new Set(faults.map(({ pattern }) => pattern));
    const missingRoute =
      routeRef === undefined ? undefined : checkRoute(routeRef.name, 'spec.routeRef', references);
    const all = object.spec.addresses.flatMap((text) => parseRange(text) ?? []);
    const guard = guardOf(targets.hosted, snapshot);
    const untrusted = guard === undefined ? new Set<Range>() : untrustedRanges(all, guard);
    const ranges = all.filter((range) => !untrusted.has(range));
    // Without any address left it would refuse all mail, or believe everybody: it does not act at all.
    const acting =
      suspend || ranges.length === 0
        ? []
        : verdicts.filter(({ accepted }) => accepted).map(({ name }) => name);
    return {
      object,
      policy: policyOf(object, bad, ranges),
      ranges,
      untrusted: [...untrusted].map(formatRange),
      verdicts,
      domains: new Set(acting),
      accepted: unsupported(faults) ?? acceptedFrom(verdicts),
      resolvedRefs: resolvedRefs([
        ...targets.problems,
        ...(missingRoute === undefined ? [] : [missingRoute]),
        ...(internalMailViaGateway ? hopKeyProblem(hopKey) : []),
      ]),
    };
  });
}

/** Without the key of hop marks nobody could tell mail that comes back from mail that is forged. */
function hopKeyProblem(hopKey: HopKey): RefProblem[] {
  if (hopKey.kind !== 'unusable') return [];
  return [{ reason: 'SecretNotAllowed', message: `spec.internalMailViaGateway: ${hopKey.message}` }];
}

function judge(object: InboundGateway, hosted: Hosted, places: Places<InboundGateway>): DomainVerdict {
  if (hosted.platform) {
    const message = `${hosted.domain} has ownership Platform, which takes no gateway`;
    return refuses(hosted, 'UnavailableOnPlatformDomain', message);
  }
  if (object.spec.suspend) return takes(hosted);
  const holder = places.claim(hosted.name, object);
  if (holder === undefined) return takes(hosted);
  return refuses(hosted, 'Conflicted', `${nameOf(holder)} is older and is the gateway of ${hosted.domain}`);
}

function policyOf(object: InboundGateway, bad: ReadonlySet<string>, ranges: readonly Range[]): GatewayPolicy {
  const { onlyFromGateway, internalMailViaGateway, routeRef, spam, trustedAuthservId } = object.spec;
  const canonical = ranges.map(formatRange);
  return {
    source: sourceOf(object),
    addresses: [...new Set(canonical)].sort(compareText),
    onlyFromGateway,
    internalMailViaGateway,
    ...(routeRef === undefined ? {} : { route: routeRef.name }),
    junkPatterns: spam.junkPatterns.filter((pattern) => !bad.has(pattern)).sort(compareText),
    skipContentFilter: spam.skipContentFilter,
    ...(trustedAuthservId === undefined ? {} : { trustedAuthservId }),
  };
}

interface PatternFault {
  readonly pattern: string;
  readonly message: string;
}

const judged = new Map<string, string | undefined>();
const maxJudged = 4_096;

/** Compiling a pattern may cost a millisecond, and the same ones come with every compilation. */
function faultOf(pattern: string, index: number): PatternFault[] {
  if (!judged.has(pattern)) {
    if (judged.size >= maxJudged) judged.clear();
    judged.set(pattern, re2Fault(pattern));
  }
  const fault = judged.get(pattern);
  return fault === undefined ? [] : [{ pattern, message: `spec.spam.junkPatterns[${index}]: ${fault}` }];
}

/** The engine of the MTA itself says whether it takes the pattern: RegExp would take more, and could stall. */
function re2Fault(pattern: string): string | undefined {
  if (!pattern.isWellFormed()) return 'is no valid Unicode text';
  try {
    RE2JS.compile(pattern);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** A pattern that RE2 does not take is left out; the rest of the gateway acts, since mail comes through it. */
function unsupported(faults: readonly PatternFault[]): ConditionInput | undefined {
  if (faults.length === 0) return undefined;
  const message = `${faults.map((fault) => fault.message).join('; ')}; the rest of the gateway acts`;
  return condition('Accepted', 'False', 'UnsupportedPattern', message);
}
