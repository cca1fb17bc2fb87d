import { compile } from '../../operator/compile/compile.ts';
import { joinAnswers } from '../../operator/compile/dkim-answers.ts';
import { patience } from '../../operator/compile/mail-dns.ts';
import type {
  DnsFact,
  MailDnsObservation,
  Snapshot,
  Translation,
  Want,
} from '../../operator/compile/model.ts';
import { checkDkimRecord } from '../../operator/observe/dkim-record.ts';
import { checkMailDns } from '../../operator/observe/mail-dns.ts';
import type { DnsOptions } from '../../operator/observe/resolver.ts';

/** What DNS says now of one thing that an object needs. */
export interface DnsCheck {
  /** `Kind/name` */
  readonly object: string;
  /** MxReady, SpfReady, DmarcReady, or Published of a DkimKey. */
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

export interface LookOptions {
  readonly dns: DnsOptions;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly signal: AbortSignal;
}

/** Objects that are asked about at a time. */
const concurrency = 4;
const doctorTypes = ['MxReady', 'SpfReady', 'DmarcReady'];

/**
 * Asks DNS now, as the operator does in the background, and judges the answers as it does.
 *
 * @param translation of the snapshot
 */
export async function lookAtDns(
  snapshot: Snapshot,
  translation: Translation,
  { dns, now, signal }: LookOptions,
): Promise<DnsCheck[]> {
  const keys: DnsCheck[] = [];
  const mailDns: MailDnsObservation[] = [];
  await inTurns(translation.wants, async (want) => {
    if (want.kind === 'checkMailDns') mailDns.push(forGood(await checkMailDns(want, dns, now, signal)));
    if (want.kind !== 'checkDkim') return;
    const { nameservers } = await checkDkimRecord(want, dns, now, signal);
    const verdict = joinAnswers(nameservers);
    const found = verdict.result === 'Match';
    keys.push({
      object: `DkimKey/${want.dkimKey}`,
      type: 'Published',
      status: found ? 'True' : verdict.result === 'ResolverError' ? 'Unknown' : 'False',
      reason: found ? 'RecordVerified' : verdict.result,
      message: verdict.message,
    });
  });
  const observed = { ...snapshot.observed, mailDns };
  const domains = compile({ ...snapshot, observed, now: now() }).statuses.flatMap(({ kind, name, status }) =>
    (status.conditions ?? [])
      .filter(({ type }) => kind === 'MailDomain' && doctorTypes.includes(type))
      .map(({ type, status: value, reason, message }) => ({
        object: `${kind}/${name}`,
        type,
        status: value,
        reason,
        message,
      })),
  );
  return [...domains, ...keys.sort((left, right) => (left.object < right.object ? -1 : 1))];
}

/** The operator would wait for more checks before it says that nobody answers; here there is just this one. */
function forGood(seen: MailDnsObservation): MailDnsObservation {
  const given = <T>(fact: DnsFact<T>): DnsFact<T> => (fact.answered ? fact : { ...fact, failures: patience });
  return { ...seen, mx: given(seen.mx), spf: given(seen.spf), dmarc: given(seen.dmarc) };
}

async function inTurns(wants: readonly Want[], work: (want: Want) => Promise<void>): Promise<void> {
  for (let at = 0; at < wants.length; at += concurrency) {
    await Promise.all(wants.slice(at, at + concurrency).map(work));
  }
}
