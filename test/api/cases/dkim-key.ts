import { type Case, casesOf } from './case.ts';

const { good, bad } = casesOf('DkimKey', { domainRef: { name: 'example' } });
const selectorMessage = 'must be letters, digits and inner hyphens';

export const dkimKeyCases: Case[] = [
  good('K3: no selector given', {}),
  bad('K5: no domain', 'spec.domainRef: Required value', { domainRef: undefined }),
  ...['a', '1', 'a-b', 'A1', 'mail2026', 's'.repeat(63)].map((selector) =>
    good(`K2: selector ${selector}`, { selector }),
  ),
  ...['-a', 'a-', 'a_b', 'a.b', 'ä', 'a b', 'a\n'].map((selector) =>
    bad(`K2: selector ${JSON.stringify(selector)}`, selectorMessage, { selector }),
  ),
  bad('K2: selector of 64 characters', 'may not be more than 63', { selector: 's'.repeat(64) }),
  bad('K2: empty selector', 'should be at least 1 chars long', { selector: '' }),
  good('K4: 1024 bits', { keyLength: 1024 }),
  good('K4: 2048 bits', { keyLength: 2048 }),
  bad('K4: 512 bits', 'supported values: "1024", "2048"', { keyLength: 512 }),
  bad('K4: 4096 bits', 'supported values: "1024", "2048"', { keyLength: 4096 }),
  bad('K4: bits as text', 'keyLength', { keyLength: '2048' }),
  good('K15: Ed25519', { algorithm: 'Ed25519' }),
  bad('K15: Ed25519 with bits', 'may only be set with algorithm RSA', {
    algorithm: 'Ed25519',
    keyLength: 2048,
  }),
  bad('K15: unknown algorithm', 'supported values: "RSA", "Ed25519"', { algorithm: 'ECDSA' }),
  good('K5: own key', { secretName: 'my-key' }),
  bad('K5: own key with path', 'must be the name of an object', { secretName: 'a/b' }),
  good('K14: standby', { state: 'Standby' }),
  bad('K14: unknown state', 'supported values: "Active", "Standby", "Retired"', { state: 'Revoked' }),
  good('K17: fallback', { fallback: true }),
  good('K7: request', { verification: { mode: 'OnRequest', requestId: '2026-11-25T10:00:00.000' } }),
  good('K7: request of 64 characters', { verification: { requestId: 'r'.repeat(64) } }),
  bad('K7: request of 65 characters', 'may not be more than 64', {
    verification: { requestId: 'r'.repeat(65) },
  }),
  bad('K7: request with blank', 'must be letters, digits', { verification: { requestId: 'again please' } }),
  bad('K7: unknown mode', 'supported values: "Automatic", "OnRequest", "Disabled"', {
    verification: { mode: 'Manual' },
  }),
  good('K9: recursive check', { verification: { scope: 'Recursive' } }),
  good('K5: secret deleted with the object', { secretRetention: 'Delete' }),
  bad('K5: unknown retention', 'supported values: "Retain", "Delete"', { secretRetention: 'Keep' }),
  good('K6: external-dns', { dns: { publish: 'ExternalDNS', targetFormat: 'Raw', ttlSeconds: 60 } }),
  good('K6: longest ttl', { dns: { ttlSeconds: 86_400 } }),
  bad('K6: ttl too short', 'should be greater than or equal to 60', { dns: { ttlSeconds: 59 } }),
  bad('K6: ttl too long', 'should be less than or equal to 86400', { dns: { ttlSeconds: 86_401 } }),
  bad('K6: unknown publisher', 'supported values: "None", "ExternalDNS"', { dns: { publish: 'Route53' } }),
  bad('unknown field', 'unknown field "spec.dns.provider"', { dns: { provider: 'x' } }),
];
