import { createHash } from 'node:crypto';
import { canonicalJson } from '../../bundle/canonical.ts';
import type { Condition, MtaSettings } from '../api/index.ts';
import { type ConditionInput, condition } from './conditions.ts';
import { type DmarcReading, readDmarc } from './dmarc-condition.ts';
import { type DomainSlice, gatewayOf } from './domain-slice.ts';
import { findMta } from './domains.ts';
import type { Gateway } from './gateway.ts';
import { sendersOf } from './mail-senders.ts';
import type { DnsFact, MailDnsObservation, MailSender, Snapshot, Want } from './model.ts';
import { mxCondition } from './mx-condition.ts';
import type { References } from './references.ts';
import { spfCondition } from './spf-condition.ts';

const minute = 60_000;
const hour = 60 * minute;
/** Checks in a row without an answer after which what was known before is given up. */
export const patience = 3;

type CheckMailDns = Extract<Want, { kind: 'checkMailDns' }>;

/** What is known of the MX, SPF and DMARC records of a domain, and when to look again. */
export interface MailDns {
  readonly conditions: readonly ConditionInput[];
  /** Undefined where no DMARC policy was found, or none was looked for yet. */
  readonly alignment?: DmarcReading['alignment'];
  /** Undefined where nobody looks. */
  readonly want?: CheckMailDns;
}

export interface MailDnsInput {
  readonly snapshot: Snapshot;
  readonly references: References;
  readonly gateways: readonly Gateway[];
}

/**
 * Judges the last look at the records of a domain (D3, O5, K11). What was asked before something changed that the question depends
 * on does not count: the conditions stay as they are until the new answer comes.
 */
export function mailDnsOf(slice: DomainSlice, { snapshot, references, gateways }: MailDnsInput): MailDns {
  const { object, domain, name, mta } = slice.hosted;
  const known = object.status?.conditions ?? [];
  const lookup = findMta(mta, snapshot);
  const { mailDns } = snapshot.observed;
  if (!lookup.ok || mailDns === undefined) {
    return { conditions: types.map((type) => carried(type, known) ?? notAsked(type)) };
  }
  const { settings } = lookup;
  const question = questionOf(slice, settings, references, snapshot);
  const found = mailDns.find(({ mailDomain }) => mailDomain === name);
  const seen = found?.question === question.question ? found : undefined;
  if (seen === undefined) {
    return {
      conditions: types.map((type) => carried(type, known) ?? notAsked(type)),
      want: { ...question, due: snapshot.now },
    };
  }
  const gateway = gatewayOf(gateways, name, true);
  const { heloName, egressAddresses } = settings;
  const mx = judge('MxReady', seen.mx, known, (facts) =>
    mxCondition(facts, { domain, mta, heloName, egressAddresses, gateway }),
  );
  const spf = judge('SpfReady', seen.spf, known, (facts) => spfCondition(facts, question));
  const dmarc = judge('DmarcReady', seen.dmarc, known, (facts) => readDmarc(facts, domain).condition);
  const conditions = [mx, spf, dmarc];
  const alignment = seen.dmarc.answered ? readDmarc(seen.dmarc.value, domain).alignment : undefined;
  const due = seen.checkedAt + delayAfter(seen, conditions, domain);
  return {
    conditions,
    ...(alignment === undefined ? {} : { alignment }),
    // A clock that was set back must not make it wait for the time that it had.
    want: { ...question, due: seen.checkedAt > snapshot.now ? snapshot.now : due },
  };
}

const types = ['MxReady', 'SpfReady', 'DmarcReady'] as const;
type DoctorType = (typeof types)[number];

function judge<T>(
  type: DoctorType,
  fact: DnsFact<T>,
  known: readonly Condition[],
  decide: (facts: T) => ConditionInput,
): ConditionInput {
  if (fact.answered) return decide(fact.value);
  // After a restart the memory is empty and the status is not: a resolver that hiccups then changes nothing either.
  const before = fact.failures < patience ? carried(type, known) : undefined;
  if (before !== undefined && before.reason !== 'NotChecked') return before;
  return condition(type, 'Unknown', 'ResolverError', `DNS gives no answer: ${fact.detail}`);
}

/** The condition as it stands in the status. */
function carried(type: DoctorType, known: readonly Condition[]): ConditionInput | undefined {
  const before = known.find((one) => one.type === type);
  if (before === undefined || before.reason === 'Pending') return undefined;
  const { status, reason, message } = before;
  return { type, status, reason, message };
}

function notAsked(type: DoctorType): ConditionInput {
  return condition(type, 'Unknown', 'NotChecked', 'DNS was not asked');
}

function questionOf(
  slice: DomainSlice,
  settings: MtaSettings,
  references: References,
  snapshot: Snapshot,
): Omit<CheckMailDns, 'due'> {
  const { domain, name } = slice.hosted;
  const senders: MailSender[] = sendersOf(slice, settings, references, snapshot);
  const { heloName } = settings;
  const question = canonicalJson({ domain, heloName, senders });
  return { kind: 'checkMailDns', mailDomain: name, domain, heloName, senders, question };
}

/**
 * Milliseconds until the next look: an hour when all is well; sooner, and then ever later, while a record is missing (its owner is
 * likely to be at it) or nobody answers. Spread by domain, so that a thousand domains are not asked about in one moment.
 */
function delayAfter(seen: MailDnsObservation, conditions: readonly ConditionInput[], domain: string): number {
  const spread = createHash('sha256').update(domain).digest().readUInt16BE() / 0xffff;
  const failures = Math.max(seen.mx.failures, seen.spf.failures, seen.dmarc.failures);
  const settled = conditions.every(({ status, reason }) => status === 'True' || reason === 'NotChecked');
  const delay =
    failures > 0
      ? minute * 2 ** Math.min(failures - 1, 6)
      : settled
        ? hour
        : 2 * minute * 2 ** Math.min(seen.unchanged, 5);
  return Math.round(Math.min(delay, hour) * (0.75 + spread / 2));
}
