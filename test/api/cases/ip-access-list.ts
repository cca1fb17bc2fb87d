import { badAddresses, goodAddresses } from './addresses.ts';
import { address, type Case, casesOf, many, network6 } from './case.ts';

const { good, bad } = casesOf('IpAccessList', { action: 'Block', allDomains: true });
const addressMessage = 'must be an IP address or a CIDR with a prefix over 0 and no host bits';
const sizeMessage = 'may need at most 1400000 bytes';
const oneOfMessage = 'must have exactly one of domainRefs and allDomains';
const sumMessage = 'may have at most 10000 entries in addresses and entries together';
const entry = (index: number) => ({ address: address(index) });

/** 1,400,000 bytes to the byte: 10,000 entries of 110 bytes, and notes of 30 bytes each. */
const fullNotes = many(10_000, (index) => ({ ...entry(index), note: 'n'.repeat(30) }));

export const ipAccessListCases: Case[] = [
  good('A1: empty list', {}),
  good('A1: all forms together', {
    addresses: ['192.0.2.1'],
    entries: [{ address: '192.0.2.2', note: 'partner', expireTime: '2026-12-31T23:59:59Z' }],
    text: '192.0.2.3, 192.0.2.4-192.0.2.9 # office\n::ffff:192.0.2.10',
    entriesFrom: [{ configMapKeyRef: { name: 'office', key: 'ips.txt' } }],
  }),
  bad('A1: no action', 'spec.action: Required value', { action: undefined }),
  bad('A1: unknown action', 'supported values: "Allow", "Block"', { action: 'Deny' }),
  bad('G2: no domains', oneOfMessage, { allDomains: undefined }),
  bad('G2: allDomains false', oneOfMessage, { allDomains: false }),
  bad('G2: both', oneOfMessage, { domainRefs: [{ name: 'a' }] }),
  good('G2: allDomains false beside domains', { allDomains: false, domainRefs: [{ name: 'a' }] }),
  bad('G2: empty domainRefs', 'should have at least 1 items', { allDomains: undefined, domainRefs: [] }),
  good('G2: 100 domains', { allDomains: undefined, domainRefs: many(100, (i) => ({ name: `d${i}` })) }),
  bad('G2: 101 domains', 'must have at most 100 items', {
    allDomains: undefined,
    domainRefs: many(101, (i) => ({ name: `d${i}` })),
  }),
  bad('G2: a domain twice', 'Duplicate value: {"name":"a"}', {
    allDomains: undefined,
    domainRefs: [{ name: 'a' }, { name: 'a' }],
  }),
  good('G15: audit', { enforcement: 'Audit' }),
  bad('G15: unknown enforcement', 'supported values: "Enforce", "Audit"', { enforcement: 'DryRun' }),

  good('A2: 10,000 addresses', { addresses: many(10_000, address) }),
  good('A2: 10,000 IPv6 networks', { addresses: many(10_000, network6) }),
  bad('A2: 10,001 addresses', 'must have at most 10000 items', { addresses: many(10_001, address) }),
  good('B1: 10,000 entries', { entries: many(10_000, entry) }),
  bad('B1: 10,001 entries', 'must have at most 10000 items', { entries: many(10_001, entry) }),
  good('A2: 10,000 in both forms together', { addresses: many(5_000, address), entries: many(5_000, entry) }),
  bad('A2: 10,001 in both forms together', sumMessage, {
    addresses: many(5_000, address),
    entries: many(5_001, entry),
  }),
  good('A2: 1,400,000 bytes', { entries: fullNotes }),
  bad('A2: 1,400,001 bytes', sizeMessage, { entries: fullNotes, text: '#' }),
  good('A2: text and addresses within 1,400,000 bytes', {
    addresses: many(9_999, address),
    text: ' '.repeat(524_288),
  }),
  bad('A2: bytes are counted, not characters', sizeMessage, {
    text: '\u{1f4ec}'.repeat(350_001),
  }),
  good('A2: text of 524,288 characters', { text: '\n'.repeat(524_288) }),
  bad('A2: text of 524,289 characters', 'may not be more than 524288', { text: '\n'.repeat(524_289) }),
  good('A1: 16 ConfigMap keys', { entriesFrom: many(16, () => ({ configMapKeyRef: { name: 'a' } })) }),
  bad('A1: 17 ConfigMap keys', 'must have at most 16 items', {
    entriesFrom: many(17, () => ({ configMapKeyRef: { name: 'a' } })),
  }),
  bad('A1: source without key reference', 'configMapKeyRef: Required value', { entriesFrom: [{}] }),

  bad('A5: entry without address', 'spec.entries[0].address: Required value', { entries: [{ note: 'x' }] }),
  good('A5: note of 256 characters', { entries: [{ ...entry(1), note: 'ü'.repeat(256) }] }),
  bad('A5: note of 257 characters', 'may not be more than 256', {
    entries: [{ ...entry(1), note: 'ü'.repeat(257) }],
  }),
  good('A5: null note', { entries: [{ ...entry(1), note: null }] }),
  bad('A5: entry that is null', 'must be of type object: "null"', { entries: [null] }),
  bad('A5: entry that is a text', 'must be of type object: "string"', { entries: ['192.0.2.1'] }),
  bad('A3: bad address in an entry', addressMessage, { entries: [{ address: '10.0.0.1/8' }] }),
  bad('A3: the message names the entry', 'spec.addresses[2]: ', {
    addresses: ['10.0.0.1', '10.0.0.2', '10.0.0.300'],
  }),
  ...[
    '2026-12-31T23:59:59Z',
    '2026-12-31T23:59:59.123456789+02:00',
    '2028-02-29T00:00:00-23:59',
    '2000-02-29T00:00:00Z',
  ].map((expireTime) => good(`B5: expireTime ${expireTime}`, { entries: [{ ...entry(1), expireTime }] })),
  ...[
    '2026-12-31',
    '2026-12-31T23:59:59',
    '2026-12-31 23:59:59Z',
    '2026-12-31T24:00:00Z',
    '2026-12-31T23:59:60Z',
    '2026-12-31T23:59:59z',
    '2026-12-31T23:59:59,5Z',
    'tomorrow',
    '',
  ].map((expireTime) =>
    bad(`B5: expireTime "${expireTime}"`, 'should match', { entries: [{ ...entry(1), expireTime }] }),
  ),
  ...['2026-02-30T00:00:00Z', '2027-02-29T00:00:00Z', '2100-02-29T00:00:00Z', '2026-04-31T00:00:00Z'].map(
    (expireTime) =>
      bad(`B5: expireTime ${expireTime} is no day`, 'should match', {
        entries: [{ ...entry(1), expireTime }],
      }),
  ),
  bad('B5: expireTime as a list', 'must be of type string: "array"', {
    entries: [{ ...entry(1), expireTime: [] }],
  }),
  bad('B5: expireTime as a number', 'must be of type string: "integer"', {
    entries: [{ ...entry(1), expireTime: 1 }],
  }),

  ...goodAddresses.map((text) => good(`A3: ${text}`, { addresses: [text] })),
  ...badAddresses.map((text) =>
    bad(`A3: ${JSON.stringify(text)} is refused`, addressMessage, { addresses: [text] }),
  ),
  bad('A3: address of one character', 'should be at least 2 chars long', { addresses: [':'] }),
  bad('A3: address of 44 characters', 'may not be more than 43', { addresses: [`${'0'.repeat(40)}/128`] }),
  good('A3: the same address twice is counted, not refused', { addresses: ['10.0.0.1', '10.0.0.1/32'] }),
];
