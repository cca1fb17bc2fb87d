import type { DkimObservation, MailDnsObservation } from '../compile/model.ts';
import { checkDkimRecord } from '../observe/dkim-record.ts';
import { checkMailDns } from '../observe/mail-dns.ts';
import type { DnsOptions } from '../observe/resolver.ts';
import { DnsChecks } from './dns-checks.ts';
import type { CheckDkim, CheckMailDns, TenantDeps } from './tenant.ts';

export interface ChecksOptions {
  readonly dns: DnsOptions;
  /** Both keep an outcome for the next snapshot and ask for a reconcile of the namespace. */
  readonly recordDkim: (namespace: string, observation: DkimObservation) => void;
  readonly recordMailDns: (namespace: string, observation: MailDnsObservation) => void;
  /** A check that broke for a reason of our own. @param object `DkimKey a` */
  readonly failed: (namespace: string, object: string, error: unknown) => void;
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** All DNS checks of a process. */
export interface Checks {
  readonly start: Pick<TenantDeps, 'checkDkim' | 'checkMailDns'>;
  /** Resolves when no check runs any more. */
  idle(): Promise<void>;
}

/** Domains looked at in one moment: nothing waits for them, and after a start all of them are due. */
const domainsAtOnce = 4;

/** Checks of keys and of domains, in the background. */
export function makeChecks(options: ChecksOptions): Checks {
  const { dns, recordDkim, recordMailDns, failed, signal, now } = options;
  const keys = new DnsChecks<CheckDkim, DkimObservation>({
    question: ({ dkimKey, host, publicKeySHA256, scope }) =>
      [dkimKey, host, publicKeySHA256, scope].join('\n'),
    check: (want, ending) => checkDkimRecord(want, dns, now, ending),
    record: recordDkim,
    failed: (namespace, { dkimKey }, error) => failed(namespace, `DkimKey ${dkimKey}`, error),
    signal,
    now,
  });
  const domains = new DnsChecks<CheckMailDns, MailDnsObservation>({
    question: ({ mailDomain, question }) => `${mailDomain}\n${question}`,
    check: (want, ending) => checkMailDns(want, dns, now, ending),
    record: recordMailDns,
    failed: (namespace, { mailDomain }, error) => failed(namespace, `MailDomain ${mailDomain}`, error),
    signal,
    concurrency: domainsAtOnce,
    now,
  });
  return {
    start: {
      checkDkim: (namespace, want) => keys.start(namespace, want),
      checkMailDns: (namespace, want) => domains.start(namespace, want),
    },
    async idle() {
      await Promise.all([keys.idle(), domains.idle()]);
    },
  };
}
