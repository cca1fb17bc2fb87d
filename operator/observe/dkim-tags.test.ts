import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { publicKeyOf } from '../compile/dkim-public-key.ts';
import { dkimDnsRecord } from '../render/dns-record.ts';
import { judgeDkimRecords, parseDkimTags } from './dkim-tags.ts';

function makeKey(type: 'rsa' | 'ed25519', modulusLength = 2048) {
  const privateKeyEncoding = { type: 'pkcs8', format: 'pem' } as const;
  const publicKeyEncoding = { type: 'spki', format: 'der' } as const;
  const pair =
    type === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength, privateKeyEncoding, publicKeyEncoding })
      : generateKeyPairSync('ed25519', { privateKeyEncoding, publicKeyEncoding });
  const key = publicKeyOf(pair.privateKey);
  if (key === undefined) throw new Error('the key cannot be read');
  return { key, value: dkimDnsRecord('a.test', 's', key).value };
}

const rsa = makeKey('rsa');
const ed25519 = makeKey('ed25519');
const short = makeKey('rsa', 512);
const { p } = rsa.key;

const good: Record<string, string> = {
  'as published': rsa.value,
  'tags in another order, no v=': `p=${p}; k=rsa`,
  'no k=, which means rsa': `v=DKIM1; p=${p}`,
  'final semicolon and blanks': ` v = DKIM1 ;k= rsa;  p = ${p} ; `,
  'folded base64': `v=DKIM1; p=${p.slice(0, 60)} ${p.slice(60, 100)}\r\n\t${p.slice(100)}`,
  'more tags': `v=DKIM1; k=rsa; h=sha1:sha256; s=email; t=s; n=a note; x_own=1; p=${p}`,
  'base64 without padding': `v=DKIM1; p=${p.replaceAll('=', '')}`,
};
it.each(Object.entries(good))('K9: a record matches: %s', (_title, text) => {
  expect(judgeDkimRecords([text], rsa.value)).toEqual({ result: 'Match' });
});

it('K9: test mode matches, and is told', () => {
  const answer = judgeDkimRecords([`v=DKIM1; t=y:s; p=${p}`], rsa.value);
  expect(answer).toEqual({ result: 'Match', detail: expect.stringContaining('t=y') });
});

it('K15: an Ed25519 record holds the bare 32 bytes (RFC 8463) and matches', () => {
  expect(Buffer.from(ed25519.key.p, 'base64')).toHaveLength(32);
  expect(judgeDkimRecords([ed25519.value], ed25519.value)).toEqual({ result: 'Match' });
});

const bad: [string, RegExp, string, string?][] = [
  ['ValueMismatch', /another key/, `v=DKIM1; p=${makeKey('rsa').key.p}`],
  ['ValueMismatch', /cut off after 230 of 392 characters/, `v=DKIM1; k=rsa; p=${p.slice(0, 230)}`],
  ['ValueMismatch', /no public key/, 'v=DKIM1; p=not+a+key'],
  ['ValueMismatch', /case-sensitive: write v= instead of V=/, `V=DKIM1; K=rsa; P=${p}`],
  ['ValueMismatch', /k= must be rsa/, `v=DKIM1; k=RSA; p=${p}`],
  ['ValueMismatch', /v= must/, `v=DKIM2; p=${p}`],
  ['ValueMismatch', /v= must come first/, `p=${p}; v=DKIM1`],
  ['ValueMismatch', /p= stands twice/, `v=DKIM1; p=${p}; p=${p}`],
  ['ValueMismatch', /no p= tag/, 'v=DKIM1; k=rsa'],
  ['ValueMismatch', /no list of tag=value|no p= tag|v= must/, 'v=spf1 -all'],
  ['ValueMismatch', /no list/, ''],
  ['ValueMismatch', /sha256/, `v=DKIM1; h=sha1; p=${p}`],
  ['ValueMismatch', /email/, `v=DKIM1; s=tlsrpt; p=${p}`],
  ['ValueMismatch', /no list/, `v=DKIM1;; p=${p}`],
  ['ValueMismatch', /no list/, `"v=DKIM1; k=rsa; p=${p}"`],
  ['ValueMismatch', /k= must be rsa/, ed25519.value],
  ['ValueMismatch', /k= must be ed25519/, rsa.value, ed25519.value],
  ['ValueMismatch', /no public key/, `v=DKIM1; k=ed25519; p=${p}`, ed25519.value],
  ['Revoked', /revokes/, 'v=DKIM1; k=rsa; p='],
  ['Revoked', /revokes/, 'v=DKIM1; p= ;'],
  ['KeyTooShort', /512 bits/, short.value],
];
it.each(bad)('K9: %s: %s', (result, detail, text, expected = rsa.value) => {
  expect(judgeDkimRecords([text], expected)).toEqual({ result, detail: expect.stringMatching(detail) });
});

it('K9: no record, and several', () => {
  expect(judgeDkimRecords([], rsa.value)).toMatchObject({ result: 'RecordNotFound' });
  expect(judgeDkimRecords([rsa.value, 'v=spf1 -all'], rsa.value)).toMatchObject({
    result: 'MultipleRecords',
  });
});

it('K5: what is written for a key is read back as its tags', () => {
  const bytes = fc.uint8Array({ minLength: 32, maxLength: 700 });
  const names = fc.constantFrom('RSA' as const, 'Ed25519' as const);
  fc.assert(
    fc.property(bytes, names, fc.nat(400), (key, algorithm, cut) => {
      const base64 = Buffer.from(key).toString('base64');
      const { value, chunks } = dkimDnsRecord('a.test', 's', { algorithm, p: base64 });
      expect(chunks.join('')).toBe(value);
      expect(chunks.every((chunk) => chunk.length <= 255 && chunk.length > 0)).toBe(true);
      const folded = `${value.slice(0, value.length - (cut % base64.length))} ${value.slice(value.length - (cut % base64.length))}`;
      const tags = parseDkimTags(folded);
      expect(typeof tags === 'string' ? tags : tags.get('p')?.replaceAll(' ', '')).toBe(base64);
      expect(judgeDkimRecords([folded], value)).toEqual({ result: 'Match' });
    }),
  );
});

it('X15: no TXT record of a stranger makes the check throw or write long texts into a status', () => {
  const fragment = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('v=DKIM1', 'p=', 'k=rsa', ';', '=', p, '__proto__=1', 'constructor=2', '\u0000', '\r\n'),
  );
  fc.assert(
    fc.property(fc.array(fc.array(fragment, { maxLength: 8 }), { maxLength: 3 }), (records) => {
      const answer = judgeDkimRecords(
        records.map((fragments) => fragments.join('')),
        rsa.value,
      );
      expect(answer.detail?.length ?? 0).toBeLessThan(200);
      expect(answer.detail ?? '').toMatch(/^[ -~]*$/);
    }),
    { numRuns: 500 },
  );
});
