import type { ReasonOf } from '../api/index.ts';
import { type ConditionInput, condition } from './conditions.ts';
import type { Domains, Hosted } from './domains.ts';
import type { RefProblem } from './references.ts';

/** Whether one MailDomain takes a policy object: an entry of `status.domains`. */
export interface DomainVerdict {
  readonly name: string;
  readonly domain?: string;
  readonly accepted: boolean;
  readonly reason: Exclude<ReasonOf<'Accepted'>, 'PartiallyAccepted'> | 'DomainNotFound';
  readonly message?: string;
}

/** The MailDomains that a policy object is for. */
export interface Targets {
  readonly hosted: readonly Hosted[];
  /** One for each MailDomain that does not exist or is not accepted itself. */
  readonly missing: readonly DomainVerdict[];
  readonly problems: readonly RefProblem[];
}

const maxMessageLength = 1_024;
const maxSummaryLength = 256;

/** @param domainRefs undefined: every MailDomain of the namespace that is accepted */
export function targetsOf(
  domainRefs: readonly { readonly name: string }[] | undefined,
  domains: Domains,
): Targets {
  if (domainRefs === undefined) return { hosted: [...domains.hosted.values()], missing: [], problems: [] };
  const missing: DomainVerdict[] = [];
  const hosted: Hosted[] = [];
  for (const { name } of domainRefs) {
    const found = domains.hosted.get(name);
    if (found !== undefined) {
      hosted.push(found);
      continue;
    }
    const exists = domains.accepted.get(name);
    const message =
      exists === undefined
        ? `MailDomain ${name} does not exist in this namespace`
        : `MailDomain ${name} is not accepted (${exists.reason})`;
    missing.push({ name, accepted: false, reason: 'DomainNotFound', message });
  }
  const problems = missing.map(({ message }) => ({
    reason: 'DomainNotFound' as const,
    message: `spec.domainRefs: ${message}`,
  }));
  return { hosted, missing, problems };
}

/** A domain that takes the object. */
export function takes({ name, domain }: Hosted): DomainVerdict {
  return { name, domain, accepted: true, reason: 'Accepted' };
}

/** A domain that does not. */
export function refuses(
  { name, domain }: Hosted,
  reason: Exclude<ReasonOf<'Accepted'>, 'Accepted' | 'PartiallyAccepted'>,
  message: string,
): DomainVerdict {
  return { name, domain, accepted: false, reason, message };
}

/**
 * The condition Accepted of an object that is judged per domain. Domains that do not exist are the matter of ResolvedRefs:
 * the order in which objects are applied must not make one invalid.
 */
export function acceptedFrom(verdicts: readonly DomainVerdict[]): ConditionInput {
  const judged = verdicts.filter(({ reason }) => reason !== 'DomainNotFound');
  const refused = judged.filter(({ accepted }) => !accepted);
  const [first] = refused;
  if (first === undefined || first.reason === 'DomainNotFound')
    return condition('Accepted', 'True', 'Accepted');
  const message = refused.map((verdict) => `${verdict.name}: ${verdict.message}`).join('; ');
  if (refused.length < judged.length) return condition('Accepted', 'True', 'PartiallyAccepted', message);
  return condition('Accepted', 'False', first.reason, message);
}

/** The fields of a status that tell about each domain. */
export function domainFields(verdicts: readonly DomainVerdict[], limit: number) {
  const sorted = verdicts.toSorted((left, right) => (left.name < right.name ? -1 : 1)).slice(0, limit);
  const names = sorted.map(({ name, domain }) => domain ?? name);
  let domainSummary = names.join(',');
  if (domainSummary.length > maxSummaryLength) domainSummary = `${names.length} domains`;
  const domains = sorted.map(({ message, ...verdict }) => ({
    ...verdict,
    ...(message === undefined ? {} : { message: message.slice(0, maxMessageLength) }),
  }));
  return { domains, domainSummary };
}
