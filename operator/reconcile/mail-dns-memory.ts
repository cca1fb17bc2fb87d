import { canonicalJson } from '../../bundle/canonical.ts';
import { patience } from '../compile/mail-dns.ts';
import type { DnsFact, MailDnsObservation } from '../compile/model.ts';

/**
 * What is remembered of a domain's records after one more check: what got no answer stays as it was known, until that has
 * happened three times in a row.
 *
 * @param before the last memory, if there is one
 */
export function rememberMailDns(
  before: MailDnsObservation | undefined,
  seen: MailDnsObservation,
): MailDnsObservation {
  if (before === undefined || before.question !== seen.question) return seen;
  const facts = {
    mx: join(before.mx, seen.mx),
    spf: join(before.spf, seen.spf),
    dmarc: join(before.dmarc, seen.dmarc),
  };
  const said = ({ mx, spf, dmarc }: Pick<MailDnsObservation, 'mx' | 'spf' | 'dmarc'>) =>
    canonicalJson([mx, spf, dmarc].map(({ failures: _failures, ...fact }) => fact));
  return { ...seen, ...facts, unchanged: said(facts) === said(before) ? before.unchanged + 1 : 0 };
}

function join<T>(before: DnsFact<T>, seen: DnsFact<T>): DnsFact<T> {
  if (seen.answered) return seen;
  const failures = before.failures + 1;
  // The first failure's words stay, so that a server that fails in turn in two ways rewrites no status.
  return before.answered && failures >= patience ? { ...seen, failures } : { ...before, failures };
}
