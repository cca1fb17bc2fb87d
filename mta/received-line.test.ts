import { expect, test } from 'vitest';
import { receivedLine } from './received-line.ts';

const taken = { heloName: 'mx.mta.example', id: 'ID.1', envelopeFrom: 'a@b.example', now: 1_795_608_000 };
const remote = { ip: '192.0.2.1', port: 4711, is_local: false };
const plain = { enabled: false, advertised: false, cipher: {} };

test('names client, protocol, sender and time, on folded lines', () => {
  const hello = { host: 'client.example', verb: 'EHLO' };
  expect(receivedLine({ hello, remote, tls: plain }, taken)).toBe(
    'from client.example ([192.0.2.1])\r\n\tby mx.mta.example (Postern) with ESMTP id ID.1\r\n' +
      '\tenvelope-from <a@b.example>;\r\n\tWed, 25 Nov 2026 12:00:00 +0000',
  );
});

test('HELO is SMTP; over TLS the cipher is named, by its standard name where it has one', () => {
  const hello = { host: 'client.example', verb: 'HELO' };
  const cipher = { name: 'ECDHE-RSA-AES128-GCM-SHA256', version: 'TLSv1.2' };
  const line = (more: object) =>
    receivedLine({ hello, remote, tls: { ...plain, enabled: true, cipher: { ...cipher, ...more } } }, taken);
  expect(line({})).toContain(
    'with SMTPS id ID.1\r\n\tenvelope-from <a@b.example>\r\n\ttls ECDHE-RSA-AES128-GCM-SHA256;',
  );
  expect(line({ standardName: 'TLS_AES_128_GCM_SHA256' })).toContain('>\r\n\ttls TLS_AES_128_GCM_SHA256;');
});
