import { generateKeyPairSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { publicKeyOf } from '../compile/dkim-public-key.ts';
import { dkimDnsRecord } from './dns-record.ts';

it.each([
  [1024, 234, 1],
  [2048, 410, 2],
])(
  'K5: the record of an RSA key of %i bits has %i characters in %i strings',
  (modulusLength, length, strings) => {
    const { privateKey } = generateKeyPairSync('rsa', {
      modulusLength,
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    const key = publicKeyOf(privateKey);
    if (key === undefined) throw new Error('the key cannot be read');
    const record = dkimDnsRecord('a.test', 'postern', key);
    expect(record.value).toHaveLength(length);
    expect(record.chunks).toHaveLength(strings);
    expect(record.chunks.join('')).toBe(record.value);
  },
);

it('K5: host name, value and zone file line', () => {
  const record = dkimDnsRecord('a.test', 'mail', { algorithm: 'Ed25519', p: 'AAAA' }, 60);
  expect(record).toEqual({
    name: 'mail._domainkey.a.test',
    value: 'v=DKIM1; k=ed25519; p=AAAA',
    chunks: ['v=DKIM1; k=ed25519; p=AAAA'],
    zoneFileLine: 'mail._domainkey.a.test. 60 IN TXT "v=DKIM1; k=ed25519; p=AAAA"',
  });
});
