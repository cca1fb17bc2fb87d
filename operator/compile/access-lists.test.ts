import { describe, expect, test } from 'vitest';
import type { IpAccessList, PosternObject } from '../api/index.ts';
import { compile } from './compile.ts';
import { readListText } from './list-text.ts';
import type { Snapshot } from './model.ts';
import { readManifest, readScenario } from './testdata/scenario.ts';

const stage = "title: ''\n";
const mailDomain = (name: string) =>
  manifest('MailDomain', name, {
    domain: `${name}.example`,
    mailbox: { maildir: {} },
    recipients: { mode: 'List' },
  });

function manifest(kind: string, name: string, spec: object, day = 1): PosternObject {
  const creationTimestamp = `2026-01-${String(day).padStart(2, '0')}T00:00:00Z`;
  return readManifest({ kind, metadata: { name, creationTimestamp }, spec }, 'acme');
}

function addresses(count: number, block: number): string[] {
  return Array.from({ length: count }, (_, index) => `10.${block}.${index >> 8}.${index & 255}`);
}

function statusesOf(objects: readonly PosternObject[], over: Partial<Snapshot> = {}) {
  const { snapshot } = readScenario(stage);
  const { statuses, mtas } = compile({ ...snapshot, ...over, objects });
  const status = (name: string): NonNullable<IpAccessList['status']> => {
    const found = statuses.find((one) => one.kind === 'IpAccessList' && one.name === name);
    if (found === undefined) throw new Error(`no status of ${name}`);
    return found.status;
  };
  const reason = (name: string) => status(name).conditions?.find(({ type }) => type === 'Accepted')?.reason;
  return { status, reason, domains: mtas[0]?.bundle.domains ?? [] };
}

describe('A2: the limit of 10,000 entries per domain and action', () => {
  test('A2 B1: over all objects, oldest first; the one that overflows does not act, a younger one that fits does', () => {
    const list = (name: string, count: number, day: number, action = 'Block') =>
      manifest('IpAccessList', name, { action, allDomains: true, addresses: addresses(count, day) }, day);
    const { reason, status, domains } = statusesOf([
      list('last', 1_000, 4),
      list('first', 9_000, 1),
      list('overflowing', 1_001, 2),
      list('small', 0, 3),
      list('other-action', 10_000, 5, 'Allow'),
      mailDomain('a'),
    ]);
    expect(reason('first')).toBe('Accepted');
    expect(reason('overflowing')).toBe('LimitExceeded');
    expect(reason('last')).toBe('Accepted');
    expect(reason('other-action')).toBe('Accepted');
    expect(domains[0]?.access).toEqual({ allow: ['other-action'], block: ['first', 'last', 'small'] });
    expect(status('overflowing').domains).toEqual([
      {
        name: 'a',
        domain: 'a.example',
        accepted: false,
        reason: 'LimitExceeded',
        message:
          'a.example has 9000 Block entries in older lists, and 10000 are possible: these 1001 do not act',
      },
    ]);
  });

  test('A2: the limit is per domain: a list may act on one and not on another', () => {
    const { reason, domains } = statusesOf([
      mailDomain('a'),
      mailDomain('b'),
      manifest(
        'IpAccessList',
        'big',
        { action: 'Block', domainRefs: [{ name: 'a' }], addresses: addresses(10_000, 1) },
        1,
      ),
      manifest('IpAccessList', 'both', { action: 'Block', allDomains: true, addresses: addresses(1, 2) }, 2),
    ]);
    expect(reason('both')).toBe('PartiallyAccepted');
    expect(domains.map(({ access }) => access.block)).toEqual([['big'], ['both']]);
  });

  test.each([
    [10_000, 'Accepted'],
    [10_001, 'LimitExceeded'],
  ])('A2 A4: %d entries of text: %s', (count, expected) => {
    const text = addresses(count, 1).join('\n');
    const { reason, status } = statusesOf([
      mailDomain('a'),
      manifest('IpAccessList', 'pasted', { action: 'Block', allDomains: true, text }),
    ]);
    expect(reason('pasted')).toBe(expected);
    expect(status('pasted').entryCount).toBe(10_000);
  });

  test('A3: a range counts as one entry, and ranges that stand for too many CIDRs are refused, not expanded', () => {
    const wide = Array.from({ length: 9_000 }, () => '0.0.0.1-255.255.255.254').join(' ');
    const { reason, status } = statusesOf([
      mailDomain('a'),
      manifest('IpAccessList', 'one', { action: 'Block', allDomains: true, text: '10.0.0.1-10.0.0.6' }),
      manifest('IpAccessList', 'wide', { action: 'Block', allDomains: true, text: wide }),
    ]);
    expect(status('one')).toMatchObject({ entryCount: 1, effectiveCount: 4 });
    expect(reason('wide')).toBe('LimitExceeded');
  });
});

describe('A4: free text', () => {
  test.each([
    ['192.0.2.1,192.0.2.2,192.0.2.3'],
    ['192.0.2.1 192.0.2.2\t192.0.2.3'],
    ['192.0.2.1\n192.0.2.2\r\n192.0.2.3\n'],
    [' ,192.0.2.1,, 192.0.2.2\u00a0192.0.2.3 # 192.0.2.4, 192.0.2.5'],
  ])('A4: %j has the same three entries', (text) => {
    const { entries, invalid } = readListText(text, 'text', 100);
    expect(entries).toEqual([['192.0.2.1'], ['192.0.2.2'], ['192.0.2.3']]);
    expect(invalid).toEqual([]);
  });

  test('A3: a word that is none is reported where it stands, without what a terminal would obey', () => {
    const { entries, invalid } = readListText('192.0.2.1;192.0.2.2\n\n \u001b[31mred 192.0.2.3', 'text', 100);
    expect(entries).toEqual([['192.0.2.3']]);
    expect(invalid).toEqual([
      { source: 'text', line: 1, value: '192.0.2.1;192.0.2.2', reason: 'is no IP address' },
      { source: 'text', line: 3, value: '\ufffd[31mred', reason: 'is no IP address' },
    ]);
  });

  test('A3: only the first 20 bad words come into the status', () => {
    const text = Array.from({ length: 500 }, (_, index) => `bad${index}`).join('\n');
    const { status } = statusesOf([
      mailDomain('a'),
      manifest('IpAccessList', 'bad', { action: 'Block', allDomains: true, text: `${text}\n192.0.2.1` }),
    ]);
    expect(status('bad').invalid).toHaveLength(20);
    expect(status('bad').entryCount).toBe(1);
  });
});

test('A10: entries of a block list count as shadowed only if every domain of it allows them', () => {
  const allow = (name: string, domain: string, range: string) =>
    manifest('IpAccessList', name, { action: 'Allow', domainRefs: [{ name: domain }], addresses: [range] });
  const block = manifest('IpAccessList', 'block', {
    action: 'Block',
    allDomains: true,
    addresses: ['192.0.2.1', '192.0.2.200', '192.0.2.0/28'],
  });
  const domains = [mailDomain('a'), mailDomain('b')];
  const counted = (...lists: PosternObject[]) =>
    statusesOf([...domains, block, ...lists]).status('block').shadowedCount;
  expect(counted(allow('one', 'a', '192.0.2.0/24'))).toBe(0);
  expect(counted(allow('one', 'a', '192.0.2.0/24'), allow('two', 'b', '192.0.2.0/24'))).toBe(3);
  expect(counted(allow('one', 'a', '192.0.2.0/24'), allow('two', 'b', '192.0.2.1'))).toBe(1);
});
