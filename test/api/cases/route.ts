import { type Case, casesOf, longDomain } from './case.ts';

const { good, bad } = casesOf('Route', { host: 'mail.example.com' });
const hostMessage = 'must be a host name in lower case or an IP address';
const required = { mode: 'Required' };

export const routeCases: Case[] = [
  good('R1: host alone', {}),
  bad('R1: no host', 'spec.host: Required value', { host: undefined }),
  good('R7: Service of the namespace', { host: 'dovecot' }),
  good('R1: IPv4 host', { host: '192.0.2.1' }),
  good('R1: IPv6 host', { host: '2001:db8::1' }),
  bad('R1: IPv6 host in brackets', hostMessage, { host: '[2001:db8::1]' }),
  bad('R1: IPv4 host with leading zero', hostMessage, { host: '192.0.2.01' }),
  bad('R1: IPv4 host of three parts', hostMessage, { host: '192.0.2' }),
  bad('R1: host in decimal', hostMessage, { host: '2130706433' }),
  bad('R1: mapped host', hostMessage, { host: '::ffff:127.0.0.1' }),
  bad('R1: host with port', hostMessage, { host: 'mail.example.com:25' }),
  bad('R1: host in upper case', hostMessage, { host: 'Mail.example.com' }),
  bad('R1: host with blank', hostMessage, { host: 'mail example' }),
  bad('R1: empty host', 'should be at least 1 chars long', { host: '' }),
  good('R1: host of 253 characters', { host: longDomain(253) }),
  bad('R1: host of 254 characters', 'may not be more than 253', { host: longDomain(254) }),
  good('R1: port 1', { port: 1 }),
  good('R1: port 65535', { port: 65_535 }),
  bad('R1: port 0', 'should be greater than or equal to 1', { port: 0 }),
  bad('R1: port 65536', 'should be less than or equal to 65535', { port: 65_536 }),
  bad('R1: port as text', 'must be of type integer: "string"', { port: '25' }),
  good('R1: LMTP on 24', { protocol: 'LMTP', port: 24 }),
  bad('R1: LMTP on 25', 'must not be 25 with protocol LMTP', { protocol: 'LMTP' }),
  bad('R1: unknown protocol', 'supported values: "SMTP", "LMTP"', { protocol: 'smtp' }),
  good('R1: MX of a name', { lookupMx: true }),
  bad('R1: MX of an address', 'may not be true when host is an IP address', {
    host: '2001:db8::1',
    lookupMx: true,
  }),
  bad('R1: MX with LMTP', 'may not be true with protocol LMTP', {
    protocol: 'LMTP',
    port: 24,
    lookupMx: true,
  }),
  good('R1: everything about TLS', {
    tls: {
      mode: 'Implicit',
      verify: 'TrustedCAAndHostname',
      caBundleRef: { name: 'ca' },
      serverName: 'mx.example.com',
    },
  }),
  bad('R1: verify without TLS', 'must be None unless tls.mode is Required or Implicit', {
    tls: { verify: 'Hostname' },
  }),
  bad('R1: CA bundle without verify', 'may only be set when tls.verify is', {
    tls: { mode: 'Required', verify: 'Hostname', caBundleRef: { name: 'ca' } },
  }),
  bad('R1: serverName without TLS', 'may not be set when tls.mode is Disabled', {
    tls: { mode: 'Disabled', serverName: 'mx.example.com' },
  }),
  bad('R1: serverName of one label', 'must be a full host name', {
    tls: { serverName: 'mx1' },
  }),
  bad('R1: unknown TLS mode', 'Unsupported value: "Off"', { tls: { mode: 'Off' } }),
  good('R5: authentication over STARTTLS', { authSecretRef: { name: 'auth' }, tls: required }),
  good('R5: authentication over TLS', { authSecretRef: { name: 'auth' }, tls: { mode: 'Implicit' } }),
  bad('R5: authentication over cleartext', 'a password is never sent in clear text', {
    authSecretRef: { name: 'auth' },
    tls: { mode: 'Disabled' },
  }),
  bad('R5: authentication over perhaps cleartext', 'a password is never sent in clear text', {
    authSecretRef: { name: 'auth' },
  }),
  good('R1: connection at its lower limits', { connection: { maxConcurrent: 1, timeoutSeconds: 5 } }),
  good('R1: connection at its upper limits', { connection: { maxConcurrent: 100, timeoutSeconds: 600 } }),
  bad('R1: no connection', 'should be greater than or equal to 1', { connection: { maxConcurrent: 0 } }),
  bad('R1: 101 connections', 'should be less than or equal to 100', { connection: { maxConcurrent: 101 } }),
  bad('R1: timeout of 4 seconds', 'should be greater than or equal to 5', {
    connection: { timeoutSeconds: 4 },
  }),
  bad('R1: timeout of 601 seconds', 'should be less than or equal to 600', {
    connection: { timeoutSeconds: 601 },
  }),
  good('R1: note of 256 characters outside the BMP', { note: '\u{1f4ec}'.repeat(256) }),
  bad('R1: note of 257 characters', 'may not be more than 256', { note: 'n'.repeat(257) }),
  bad('R1: unknown field', 'unknown field "spec.tls.verifyPeer"', { tls: { verifyPeer: true } }),
];
