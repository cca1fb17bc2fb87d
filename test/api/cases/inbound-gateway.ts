import { address, type Case, casesOf, many } from './case.ts';

const base = { domainRefs: [{ name: 'example' }], addresses: ['10.0.0.1', '10.1.1.0/24'] };
const { good, bad } = casesOf('InboundGateway', base);
const widthMessage = 'may not be wider than /20 (IPv6: /48)';
const hostBitsMessage = 'may not have host bits';
const addressMessage = 'must be an IP address or a CIDR such as';

export const inboundGatewayCases: Case[] = [
  good('D4: least spec', {}),
  bad('D4: no addresses', 'spec.addresses: Required value', { addresses: undefined }),
  bad('D4: empty addresses', 'should have at least 1 items', { addresses: [] }),
  bad('G2: no domains', 'spec.domainRefs: Required value', { domainRefs: undefined }),
  bad('G2: 101 domains', 'must have at most 100 items', {
    domainRefs: many(101, (i) => ({ name: `d${i}` })),
  }),
  good('D5: 50 addresses', { addresses: many(50, address) }),
  bad('D5: 51 addresses', 'must have at most 50 items', { addresses: many(51, address) }),
  bad('D5: an address twice', 'Duplicate value: "10.0.0.1"', { addresses: ['10.0.0.1', '10.0.0.1'] }),
  good('D6: /20', { addresses: ['10.0.16.0/20'] }),
  bad('D6: /19', widthMessage, { addresses: ['10.0.0.0/19'] }),
  good('D6: IPv6 /48', { addresses: ['2001:db8:1::/48'] }),
  bad('D6: IPv6 /47', widthMessage, { addresses: ['2001:db8::/47'] }),
  bad('D6: IPv4 /0', widthMessage, { addresses: ['0.0.0.0/0'] }),
  bad('D6: host bits', hostBitsMessage, { addresses: ['10.1.1.1/24'] }),
  bad('D6: IPv6 host bits', hostBitsMessage, { addresses: ['2001:db8:1::1/48'] }),
  bad('D6: range a-b', addressMessage, { addresses: ['10.0.0.1-10.0.0.9'] }),
  bad('D6: leading zero', addressMessage, { addresses: ['10.0.0.010'] }),
  bad('D6: mapped', addressMessage, { addresses: ['::ffff:10.0.0.1'] }),
  bad('D6: name', addressMessage, { addresses: ['gw.example.com'] }),
  good('D1: suspended', { suspend: true }),
  good('D7: only from the gateway', { onlyFromGateway: true }),
  good('D8: internal mail with Route', { internalMailViaGateway: true, routeRef: { name: 'gateway' } }),
  bad('D8: internal mail without Route', 'must be set when internalMailViaGateway is true', {
    internalMailViaGateway: true,
  }),
  good('D8: Route alone', { routeRef: { name: 'gateway' } }),
  good('D9: 20 patterns of 512 characters', {
    spam: { junkPatterns: many(20, (i) => `${String.fromCharCode(97 + i)}`.repeat(512)) },
  }),
  bad('D9: 21 patterns', 'must have at most 20 items', { spam: { junkPatterns: many(21, (i) => `p${i}`) } }),
  bad('D9: pattern of 513 characters', 'may not be more than 512', {
    spam: { junkPatterns: ['p'.repeat(513)] },
  }),
  bad('D9: empty pattern', 'should be at least 1 chars long', { spam: { junkPatterns: [''] } }),
  good('D9: RE2 syntax is judged by the compiler', { spam: { junkPatterns: ['(?=x)'] } }),
  good('D10: content filter skipped', { spam: { skipContentFilter: true } }),
  good('D15: trusted identifier', { trustedAuthservId: 'gw.example.com' }),
  bad('D15: identifier with semicolon', 'must be an identifier', { trustedAuthservId: 'gw; dkim=pass' }),
  good('G15: audit', { enforcement: 'Audit' }),
  bad('unknown field', 'unknown field "spec.headerMatch"', { headerMatch: 'x' }),
];
