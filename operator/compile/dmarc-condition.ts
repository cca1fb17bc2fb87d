import { dmarcRecord } from '../render/mail-records.ts';
import { type ConditionInput, condition } from './conditions.ts';
import type { DmarcFacts } from './model.ts';
import { printable } from './printable.ts';

/** What the DNS says of a domain's DMARC policy. */
export interface DmarcReading {
  readonly condition: ConditionInput;
  /** Of the record that applies; undefined without one. */
  readonly alignment?: {
    readonly dkim: 'Relaxed' | 'Strict';
    /** Relaxed alignment takes signatures of any domain below this one. */
    readonly organizationalDomain: string;
  };
}

interface Found {
  readonly name: string;
  readonly tags: ReadonlyMap<string, string>;
}

/** The version comes first, and upper and lower case count in its value alone (RFC 9989 section 4.7). */
const version = /^[vV][ \t]*=[ \t]*DMARC1[ \t]*(;|$)/;
const policies = ['none', 'quarantine', 'reject'];
const choices: readonly (readonly [tag: string, values: readonly string[]])[] = [
  ['p', policies],
  ['sp', policies],
  ['np', policies],
  ['adkim', ['r', 's']],
  ['aspf', ['r', 's']],
];

/**
 * DmarcReady (K11): whether the domain, or else its organizational domain, publishes a policy that receivers can read
 * (RFC 9989 section 4.10.1, and 7489 where it is stricter: `p` is needed).
 */
export function readDmarc(facts: DmarcFacts, domain: string): DmarcReading {
  const own = facts.find(({ name }) => name === domain)?.records ?? [];
  const written = own.filter(isDmarc);
  if (written.length > 1) {
    const message = `_dmarc.${domain} has ${written.length} DMARC records, so receivers take none: keep one`;
    return { condition: condition('DmarcReady', 'False', 'ValueMismatch', message) };
  }
  const found = facts.flatMap(({ name, records }): Found[] => {
    const usable = records.filter(isDmarc);
    const [record] = usable;
    return record === undefined || usable.length > 1 ? [] : [{ name, tags: tagsOf(record) }];
  });
  const organizationalDomain = organizationalDomainOf(domain, found);
  const last = found.at(-1);
  const applies =
    found.find(({ name }) => name === domain) ??
    found.find(({ name }) => name === organizationalDomain) ??
    (last?.tags.get('psd')?.toLowerCase() === 'y' ? last : undefined);
  if (applies === undefined) return { condition: missing(domain, own) };
  const fault = faultOf(applies.tags);
  if (fault !== undefined) {
    const message = `The DMARC record at _dmarc.${applies.name} ${fault}: publish ${dmarcRecord(domain).zoneFileLine}`;
    return { condition: condition('DmarcReady', 'False', 'ValueMismatch', message) };
  }
  return {
    condition: condition('DmarcReady', 'True', 'DmarcReady', described(applies, domain)),
    alignment: {
      dkim: applies.tags.get('adkim')?.toLowerCase() === 's' ? 'Strict' : 'Relaxed',
      organizationalDomain,
    },
  };
}

function isDmarc(text: string): boolean {
  return version.test(text.trim());
}

function tagsOf(text: string): ReadonlyMap<string, string> {
  const tags = new Map<string, string>();
  for (const part of text.split(';')) {
    const at = part.indexOf('=');
    const name = part.slice(0, Math.max(at, 0)).trim().toLowerCase();
    if (name === '') continue;
    // What stands twice makes the list invalid (RFC 6376 section 3.2); the value says so below.
    tags.set(name, tags.has(name) ? '(twice)' : part.slice(at + 1).trim());
  }
  return tags;
}

/** RFC 9989 section 4.10.2. @param found from the domain upwards */
function organizationalDomainOf(domain: string, found: readonly Found[]): string {
  for (const { name, tags } of found) {
    const psd = tags.get('psd')?.toLowerCase();
    if (psd === 'n') return name;
    if (psd === 'y' && name !== domain) {
      return domain
        .split('.')
        .slice(-(name.split('.').length + 1))
        .join('.');
    }
  }
  return found.at(-1)?.name ?? domain;
}

/** What makes receivers ignore a record, or read it as another policy than its owner means. */
function faultOf(tags: ReadonlyMap<string, string>): string | undefined {
  const policy = tags.get('p');
  if (policy === undefined) return 'has no policy (p=)';
  for (const [tag, values] of choices) {
    const value = tags.get(tag);
    if (value !== undefined && !values.includes(value.toLowerCase())) {
      return `has ${tag}=${printable(value, 32)}, which is none of ${values.join(', ')}`;
    }
  }
  const uris = tags.get('rua')?.split(',') ?? [];
  const odd = uris.find((uri) => !/^[a-z][a-z0-9+.-]*:\S+$/i.test(uri.trim()));
  return odd === undefined ? undefined : `has rua=${printable(odd.trim(), 64)}, which is no URI (mailto:...)`;
}

function described({ name, tags }: Found, domain: string): string {
  const inherited = name !== domain;
  const policy = (inherited ? tags.get('sp') : undefined) ?? tags.get('p') ?? 'none';
  const testing = tags.get('t')?.toLowerCase() === 'y' ? ', in test mode (t=y)' : '';
  return `Policy ${policy.toLowerCase()} at _dmarc.${name}${testing}`;
}

function missing(domain: string, texts: readonly string[]): ConditionInput {
  const { zoneFileLine } = dmarcRecord(domain);
  if (texts.length === 0) {
    const message = `${domain} has no DMARC record: publish ${zoneFileLine}`;
    return condition('DmarcReady', 'False', 'RecordNotFound', message);
  }
  const message = `The TXT record at _dmarc.${domain} does not begin with v=DMARC1;, so it is no DMARC record: publish ${zoneFileLine}`;
  return condition('DmarcReady', 'False', 'ValueMismatch', message);
}
