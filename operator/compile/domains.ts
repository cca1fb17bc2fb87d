import { domainToASCII, domainToUnicode } from 'node:url';
import { compareText } from '../../bundle/shards.ts';
import type { MailDomain, MtaSettings, ReasonOf } from '../api/index.ts';
import { type ConditionInput, condition } from './conditions.ts';
import { Places } from './conflicts.ts';
import { contentFilterFault } from './content-filter.ts';
import type { MtaRecord, Snapshot } from './model.ts';
import { routingOnPlatformDomain } from './platform-domain.ts';
import { nameOf } from './references.ts';

/** A MailDomain that is compiled into the bundle of its MTA. */
export interface Hosted {
  readonly object: MailDomain;
  /** Name of the object. */
  readonly name: string;
  readonly domain: string;
  readonly mta: string;
  readonly platform: boolean;
  /**
   * Its mailbox cannot be used (a Maildir spread over several pods): recipients are deferred with 451 instead of being refused,
   * because a scaled StatefulSet must not bounce mail.
   */
  readonly mailboxUnusable: boolean;
}

/** Which MailDomains are compiled, and what each is told. */
export interface Domains {
  /** By object name. */
  readonly hosted: ReadonlyMap<string, Hosted>;
  /** Condition Accepted by object name. */
  readonly accepted: ReadonlyMap<string, ConditionInput>;
}

/** The MTA that a MailDomain names, or why it cannot be used. */
export type MtaLookup =
  | { readonly ok: true; readonly record: MtaRecord; readonly settings: MtaSettings }
  | {
      readonly ok: false;
      readonly reason: 'MtaNotFound' | 'MtaAmbiguous' | 'MtaNotConfigured';
      readonly message: string;
    };

/** Finds an MTA of the namespace by the value of its label. */
export function findMta(name: string, snapshot: Snapshot): MtaLookup {
  const record = snapshot.mtas.find((one) => one.name === name);
  if (record === undefined) {
    const others = snapshot.mtas.map((one) => one.name).sort(compareText);
    const there = others.length === 0 ? 'there is none' : `there is ${others.slice(0, 5).join(', ')}`;
    const message = `No MTA of this namespace is named ${name} (spec.mta): ${there}`;
    return { ok: false, reason: 'MtaNotFound', message };
  }
  if (record.workloads.length > 1) {
    const workloads = record.workloads.toSorted().join(', ');
    return {
      ok: false,
      reason: 'MtaAmbiguous',
      message: `Several workloads are labelled as MTA ${name}: ${workloads}`,
    };
  }
  if (!record.settings.ok) {
    const problem = record.settings.problem.replace(/\s+/g, ' ').trim();
    const message = `The settings of MTA ${name} cannot be used: ${problem}`;
    return { ok: false, reason: 'MtaNotConfigured', message };
  }
  return { ok: true, record, settings: record.settings.value };
}

/**
 * Decides which MailDomains are compiled.
 *
 * @param mailDomains oldest first: of two with one name the oldest wins, and nothing of the other is rendered (G6)
 */
export function admitDomains(mailDomains: readonly MailDomain[], snapshot: Snapshot): Domains {
  const places = new Places<MailDomain>();
  const hosted = new Map<string, Hosted>();
  const accepted = new Map<string, ConditionInput>();
  for (const object of mailDomains) {
    const { name } = object.metadata;
    const { domain, mta, ownership, mailbox } = object.spec;
    const refusal = refuse(object, places.claim(domain, object), snapshot);
    if (refusal !== undefined) {
      accepted.set(name, refusal);
      continue;
    }
    const lookup = findMta(mta, snapshot);
    const spread = mailbox.maildir !== undefined && lookup.ok && lookup.record.replicas > 1;
    const complaint =
      (spread ? tooManyReplicas(object, lookup.record) : undefined) ??
      routingOnPlatformDomain(object) ??
      contentFilterFault(object, snapshot.options);
    accepted.set(name, complaint ?? condition('Accepted', 'True', 'Accepted'));
    hosted.set(name, {
      object,
      name,
      domain,
      mta,
      platform: ownership === 'Platform',
      mailboxUnusable: spread,
    });
  }
  return { hosted, accepted };
}

/**
 * Whether the labels of a name are what they seem (RFC 5891): the schema knows the characters, and this whether each `xn--` label
 * decodes, and back to itself. A label that no server can have would be waited for in vain.
 */
export function isValidName(domain: string): boolean {
  return domain.split('.').every((label) => {
    if (!label.startsWith('xn--')) return true;
    const decoded = domainToUnicode(label);
    return decoded !== label && domainToASCII(decoded) === label;
  });
}

function refuse(
  object: MailDomain,
  holder: MailDomain | undefined,
  snapshot: Snapshot,
): ConditionInput | undefined {
  const { domain, mta } = object.spec;
  const no = (reason: Exclude<ReasonOf<'Accepted'>, 'Accepted'>, message: string) =>
    condition('Accepted', 'False', reason, message);
  if (!isValidName(domain))
    return no('Invalid', `spec.domain: ${domain} has a label that is no valid punycode`);
  const { allowedDomains } = snapshot.options;
  if (allowedDomains !== undefined && !allowedDomains.some((pattern) => matchesDomain(pattern, domain))) {
    return no('DomainNotAllowed', `The namespace may not have ${domain} (annotation postern.dev/domains)`);
  }
  if (holder !== undefined)
    return no('Conflicted', `${nameOf(holder)} is older and has the domain ${domain}`);
  const lookup = findMta(mta, snapshot);
  return lookup.ok ? undefined : no(lookup.reason, lookup.message);
}

/** `*.example.com` stands for every name below example.com, not for itself. */
function matchesDomain(pattern: string, domain: string): boolean {
  return pattern.startsWith('*.') ? domain.endsWith(pattern.slice(1)) : domain === pattern;
}

function tooManyReplicas(object: MailDomain, record: MtaRecord): ConditionInput {
  const message = `spec.mailbox.maildir: MTA ${object.spec.mta} has ${record.replicas} replicas, each with its own volume; mail is deferred until there is one`;
  return condition('Accepted', 'False', 'MaildirNeedsSingleReplica', message);
}
