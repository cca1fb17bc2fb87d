import { type Case, casesOf, longDomain, many } from './case.ts';

const base = {
  title: 'Partners',
  domainRefs: [{ name: 'example' }],
  directions: ['Outbound'],
  peerDomains: ['partner.example'],
};
const { good, bad } = casesOf('TlsPolicy', base);
const outboundOnly = 'may only be true with direction Outbound';

export const tlsPolicyCases: Case[] = [
  good('T1: least spec', {}),
  bad('T3: no title', 'spec.title: Required value', { title: undefined }),
  bad('T3: empty title', 'should be at least 1 chars long', { title: '' }),
  good('T3: title of 128 characters', { title: 'ü'.repeat(128) }),
  bad('T3: title of 129 characters', 'may not be more than 128', { title: 't'.repeat(129) }),
  bad('G2: no domains', 'spec.domainRefs: Required value', { domainRefs: undefined }),
  bad('T4: no directions', 'spec.directions: Required value', { directions: undefined }),
  bad('T4: empty directions', 'should have at least 1 items', { directions: [] }),
  good('T4: both directions', { directions: ['Inbound', 'Outbound'] }),
  bad('T4: a direction twice', 'Duplicate value: "Inbound"', { directions: ['Inbound', 'Inbound'] }),
  bad('T4: unknown direction', 'supported values: "Inbound", "Outbound"', { directions: ['Incoming'] }),
  bad('T4: three directions', 'must have at most 2 items', {
    directions: ['Inbound', 'Outbound', 'Inbound'],
  }),
  good('T5: trusted CA with Outbound', { outbound: { requireTrustedCA: true } }),
  bad('T5: trusted CA with Inbound only', outboundOnly, {
    directions: ['Inbound'],
    outbound: { requireTrustedCA: true },
  }),
  good('T5: own CA bundle', { outbound: { requireTrustedCA: true, caBundleRef: { name: 'ca' } } }),
  bad('T5: CA bundle without trusted CA', 'may only be set when requireTrustedCA is true', {
    outbound: { caBundleRef: { name: 'ca' } },
  }),
  good('T6: host name alone with Outbound', { outbound: { requireHostnameMatch: true } }),
  bad('T6: host name with Inbound only', outboundOnly, {
    directions: ['Inbound'],
    outbound: { requireHostnameMatch: true },
  }),
  good('T7: 100 partners', { peerDomains: many(100, (i) => `p${i}.example`) }),
  bad('T7: 101 partners', 'must have at most 100 items', { peerDomains: many(101, (i) => `p${i}.example`) }),
  bad('T7: no partners', 'should have at least 1 items', { peerDomains: [] }),
  bad('T7: a partner twice', 'Duplicate value: "a.example"', { peerDomains: ['a.example', 'a.example'] }),
  good('T7: subdomains of a partner', { peerDomains: ['*.partner.example'] }),
  bad('T7: asterisk alone', 'must be a domain name in lower case', { peerDomains: ['*.*'] }),
  bad('T7: asterisk inside', 'must be a domain name in lower case', { peerDomains: ['a.*.example'] }),
  bad('T7: upper case', 'must be a domain name in lower case', { peerDomains: ['Partner.example'] }),
  bad('T7: U-label', 'write xn--...', { peerDomains: ['bücher.example'] }),
  good('T7: partner of 253 characters', { peerDomains: [longDomain(253)] }),
  bad('T7: partner of 254 characters', 'may not be more than 253', { peerDomains: [longDomain(254)] }),
  good('T12: bounce at once', { outbound: { onFailure: 'Bounce' } }),
  good('T12: shortest patience', { outbound: { giveUpAfterSeconds: 60 } }),
  good('T12: longest patience', { outbound: { giveUpAfterSeconds: 432_000 } }),
  bad('T12: too short a patience', 'should be greater than or equal to 60', {
    outbound: { giveUpAfterSeconds: 59 },
  }),
  bad('T12: too long a patience', 'should be less than or equal to 432000', {
    outbound: { giveUpAfterSeconds: 432_001 },
  }),
  good('G15: audit', { enforcement: 'Audit' }),
  good('nulls count as absent', { outbound: { onFailure: null, caBundleRef: null }, enforcement: null }),
];
