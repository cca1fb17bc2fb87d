import type { DkimKey, MailDomain } from '../api/index.ts';
import { dkimHost } from '../render/dns-record.ts';
import type { ConditionInput } from './conditions.ts';
import { Places } from './conflicts.ts';

/** Whether a key is accepted, and what it may do if not. */
export interface Admission {
  readonly condition: ConditionInput;
  /** False: no key is made and DNS is not asked, since the record would be somebody else's or nobody's. */
  readonly mayHaveKey: boolean;
  /** True: an older Active key of the algorithm signs, or an older fallback does. */
  readonly superseded: boolean;
}

const maxHostLength = 253;

/**
 * Gives each single place to the oldest key that claims it: a (domain, selector), the Active key of a (domain, algorithm), the
 * fallback of an MTA (K13, K15, K17).
 *
 * @param dkimKeys oldest first
 * @param domainOf the accepted MailDomain of a key, undefined if there is none: such a key claims nothing
 */
export function admitKeys(
  dkimKeys: readonly DkimKey[],
  domainOf: (dkimKey: DkimKey) => MailDomain | undefined,
): ReadonlyMap<string, Admission> {
  const places = new Places<string>();
  const admissions = new Map<string, Admission>();
  for (const dkimKey of dkimKeys) {
    const domain = domainOf(dkimKey);
    admissions.set(dkimKey.metadata.name, domain === undefined ? accepted : admit(dkimKey, domain, places));
  }
  return admissions;
}

function admit(dkimKey: DkimKey, domain: MailDomain, places: Places<string>): Admission {
  const { name } = dkimKey.metadata;
  const { selector, algorithm, fallback, state } = dkimKey.spec;
  const host = dkimHost(domain.spec.domain, selector);
  if (host.length > maxHostLength) {
    return refused(
      'Invalid',
      `spec.selector: ${host} is longer than ${maxHostLength} characters, the limit of DNS.`,
    );
  }
  if (domain.spec.ownership === 'Platform' && !fallback) {
    return refused(
      'UnavailableOnPlatformDomain',
      `MailDomain ${domain.metadata.name} has ownership Platform, which takes a DkimKey only with spec.fallback: true.`,
    );
  }
  // DNS knows no upper and lower case.
  const record = places.claim(`record ${host.toLowerCase()}`, name);
  if (record !== undefined) {
    return refused(
      'Conflicted',
      `DkimKey ${record} is older and has the selector ${selector} of ${domain.spec.domain}.`,
    );
  }
  if (state !== 'Active') return accepted;
  const active = places.claim(`active ${algorithm} ${domain.spec.domain}`, name);
  if (active !== undefined) {
    return superseded(
      `DkimKey ${active} is older and the Active ${algorithm} key of ${domain.spec.domain}: set it to Retired, or this one to Standby.`,
    );
  }
  const rival = fallback ? places.claim(`fallback ${domain.spec.mta}`, name) : undefined;
  if (rival !== undefined) {
    return superseded(`DkimKey ${rival} is older and the fallback of MTA ${domain.spec.mta}.`);
  }
  return accepted;
}

const accepted: Admission = {
  condition: { type: 'Accepted', status: 'True', reason: 'Accepted', message: '' },
  mayHaveKey: true,
  superseded: false,
};

function refused(reason: string, message: string): Admission {
  return {
    condition: { type: 'Accepted', status: 'False', reason, message },
    mayHaveKey: false,
    superseded: false,
  };
}

function superseded(message: string): Admission {
  return {
    condition: { type: 'Accepted', status: 'False', reason: 'Conflicted', message },
    mayHaveKey: true,
    superseded: true,
  };
}
