import { spfRecord } from '../render/mail-records.ts';
import { type ConditionInput, condition } from './conditions.ts';
import { isPublic } from './mail-senders.ts';
import type { MailSender, SpfFacts } from './model.ts';
import { printable } from './printable.ts';

const maxShown = 8;

/**
 * SpfReady (O5): whether the record lets every public address pass that mail leaves from. It is evaluated as receivers do, never
 * compared as text.
 */
export function spfCondition(
  facts: SpfFacts,
  { domain, senders }: { readonly domain: string; readonly senders: readonly MailSender[] },
): ConditionInput {
  const { records } = facts;
  if (records.length === 0) {
    const { zoneFileLine } = spfRecord(domain, addressesOf(facts));
    const advice =
      addressesOf(facts).length === 0
        ? 'publish one that names where mail leaves from'
        : `publish ${zoneFileLine}`;
    return condition('SpfReady', 'False', 'RecordNotFound', `${domain} has no SPF record: ${advice}`);
  }
  if (records.length > 1) {
    const message = `${domain} has ${records.length} SPF records, so receivers take none (RFC 7208 section 4.5): join them in one`;
    return condition('SpfReady', 'False', 'ValueMismatch', message);
  }
  const judged = facts.senders.map(({ what, verdicts }) => ({
    what,
    verdicts: verdicts.filter(({ address }) => isPublic(address)),
  }));
  const verdicts = judged.flatMap((sender) =>
    sender.verdicts.map((verdict) => ({ ...verdict, what: sender.what })),
  );
  const broken = verdicts.find(({ result }) => result === 'permerror');
  if (broken !== undefined) {
    const why = broken.detail === undefined ? '' : `: ${printable(broken.detail)}`;
    const message = `The SPF record of ${domain} cannot be evaluated (permerror)${why}`;
    return condition('SpfReady', 'False', 'ValueMismatch', message);
  }
  const left = verdicts.filter(({ result }) => result !== 'pass');
  if (left.length > 0) {
    const shown = left.map(({ address, what, result }) => `${address} (${what}, ${result})`);
    const terms = left.map(({ address }) => termOf(address)).slice(0, maxShown);
    const message = `The SPF record of ${domain} leaves out ${listed(shown)}: add ${terms.join(' ')}`;
    return condition('SpfReady', 'False', 'ValueMismatch', message);
  }
  const unknown = senders.find(
    ({ what }) => (judged.find((sender) => sender.what === what)?.verdicts.length ?? 0) === 0,
  );
  if (unknown !== undefined) {
    const message = `Which addresses mail of ${domain} leaves from is not known: ${unknown.unknown}`;
    return condition('SpfReady', 'Unknown', 'NotChecked', message);
  }
  return condition(
    'SpfReady',
    'True',
    'SpfReady',
    `${listed(verdicts.map(({ address }) => address))} may send`,
  );
}

function addressesOf({ senders }: SpfFacts): string[] {
  return senders.flatMap(({ verdicts }) => verdicts.map(({ address }) => address)).filter(isPublic);
}

function termOf(address: string): string {
  return `${address.includes(':') ? 'ip6' : 'ip4'}:${address}`;
}

function listed(items: readonly string[]): string {
  const more = items.length > maxShown ? [`${items.length - maxShown} more`] : [];
  return [...items.slice(0, maxShown), ...more].join(', ');
}
