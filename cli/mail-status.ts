import type { LegCounts, MtaState, PartnerTlsFailure } from '../bundle/state.ts';
import { formatTable } from './output.ts';

/** What an MTA answered. */
export interface AnsweredState {
  /** Absent for the MTA of a folder. */
  readonly pod?: string;
  readonly state: MtaState;
}

/** The books of all MTAs that were asked, since each of them started. One recipient on its way to one destination counts one. */
export interface MailSum extends LegCounts {
  /** Whose numbers these are; absent for the MTA of a folder. */
  readonly pods?: readonly string[];
  readonly queued: number;
  /** What began less what ended and what is queued: 0, but for mail that is being filed just now. */
  readonly unaccounted: number;
  /** What the failures were that nobody was told of (G9); `expired` counts those that are in other entries or were reported. */
  readonly ledgerEntries: MtaState['ledger'];
}

/** accepted + reports + found + adopted = delivered + bounced + ledger + handedOver + queued. @returns undefined if no MTA tells its numbers. */
export function sumMail(answers: readonly AnsweredState[]): MailSum | undefined {
  const counted = answers.flatMap(({ pod, state }) =>
    state.legs === undefined ? [] : [{ pod, state, legs: state.legs }],
  );
  if (counted.length === 0) return undefined;
  const sum = (number: (each: (typeof counted)[number]) => number) =>
    counted.reduce((total, each) => total + number(each), 0);
  const legs: LegCounts = {
    accepted: sum((each) => each.legs.accepted),
    reports: sum((each) => each.legs.reports),
    found: sum((each) => each.legs.found),
    adopted: sum((each) => each.legs.adopted),
    delivered: sum((each) => each.legs.delivered),
    bounced: sum((each) => each.legs.bounced),
    ledger: sum((each) => each.legs.ledger),
    handedOver: sum((each) => each.legs.handedOver),
  };
  const queued = sum(({ state }) => state.queue.size);
  const pods = counted.flatMap(({ pod }) => (pod === undefined ? [] : [pod]));
  return {
    ...(pods.length > 0 && { pods }),
    ...legs,
    queued,
    unaccounted:
      legs.accepted +
      legs.reports +
      legs.found +
      legs.adopted -
      (legs.delivered + legs.bounced + legs.ledger + legs.handedOver + queued),
    ledgerEntries: {
      suppressedNdrs: sum(({ state }) => state.ledger.suppressedNdrs),
      backscatterAvoided: sum(({ state }) => state.ledger.backscatterAvoided),
      doubleBounces: sum(({ state }) => state.ledger.doubleBounces),
      expired: sum(({ state }) => state.ledger.expired),
    },
  };
}

/** The sum as a line of an account book, and what the ledger is made of. */
export function mailSumText(sum: MailSum): string {
  const {
    pods,
    accepted,
    reports,
    found,
    adopted,
    delivered,
    bounced,
    ledger,
    handedOver,
    queued,
    unaccounted,
  } = sum;
  const { suppressedNdrs, backscatterAvoided, doubleBounces, expired } = sum.ledgerEntries;
  const whose = pods === undefined ? 'the MTA' : pods.join(', ');
  const also = (count: number, what: string) => (count === 0 ? '' : ` + ${count} ${what}`);
  return [
    `Mail since ${whose} started: ${accepted} accepted + ${reports} reports + ${found} found in the queue${also(adopted, 'adopted from other pods')}`,
    `  = ${delivered} delivered + ${bounced} bounced + ${ledger} ledger + ${queued} queued${also(handedOver, 'handed over')}${also(unaccounted, 'being filed')}`,
    `  ledger: ${suppressedNdrs} suppressedNdrs, ${backscatterAvoided} backscatterAvoided, ${doubleBounces} doubleBounces (${expired} of all failures expired)`,
  ].join('\n');
}

/** One entry for each way to a partner, whichever pods have failed on it: the last failure, and how many there were. Newest first. */
export function joinTlsFailures(answers: readonly AnsweredState[]): readonly PartnerTlsFailure[] {
  const joined = new Map<string, PartnerTlsFailure>();
  const oldestFirst = answers
    .flatMap(({ state }) => state.tlsFailures ?? [])
    .toSorted((left, right) => left.lastFailure - right.lastFailure);
  for (const each of oldestFirst) {
    const key = `${each.domain} ${each.partner} ${each.via}`;
    const failures = (joined.get(key)?.failures ?? 0) + each.failures;
    joined.delete(key);
    joined.set(key, { ...each, failures });
  }
  return [...joined.values()].reverse();
}

export function tlsFailureTable(failures: readonly PartnerTlsFailure[]): string {
  return formatTable(
    ['LAST TLS FAILURE', 'DOMAIN', 'PARTNER', 'VIA', 'HOST', 'RESULT', 'FAILURES', 'DETAIL'],
    failures.map(({ lastFailure, domain, partner, via, host, result, failures: count, detail }) => [
      new Date(lastFailure * 1000).toISOString(),
      domain,
      partner,
      via,
      host,
      result,
      String(count),
      detail,
    ]),
  );
}
