import { expect, it } from 'vitest';
import { readDmarc } from './dmarc-condition.ts';

const domain = 'mail.corp.test';

/** @param records at `_dmarc.` of the domain, of corp.test and of test */
function read(...records: readonly (readonly string[])[]) {
  const names = [domain, 'corp.test', 'test'];
  return readDmarc(
    names.map((name, at) => ({ name, records: records[at] ?? [] })),
    domain,
  );
}
function shown(...records: readonly (readonly string[])[]): string {
  const { status, reason, message } = read(...records).condition;
  return `${status}/${reason}: ${message}`;
}
const publish =
  'publish _dmarc.mail.corp.test. IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@mail.corp.test"';

it.each<[string, string[][], string]>([
  ['none', [], `False/RecordNotFound: ${domain} has no DMARC record: ${publish}`],
  ['its own', [['v=DMARC1; p=reject']], `True/DmarcReady: Policy reject at _dmarc.${domain}`],
  [
    'blanks and upper case where they may be',
    [['v = DMARC1 ;P=None; RUA=mailto:a@b.test']],
    `True/DmarcReady: Policy none at _dmarc.${domain}`,
  ],
  [
    'test mode',
    [['v=DMARC1; p=reject; t=y']],
    `True/DmarcReady: Policy reject at _dmarc.${domain}, in test mode (t=y)`,
  ],
  ['beside other texts', [['hello', 'v=DMARC1; p=none']], `True/DmarcReady: Policy none at _dmarc.${domain}`],
  [
    'of the organizational domain',
    [[], ['v=DMARC1; p=reject']],
    'True/DmarcReady: Policy reject at _dmarc.corp.test',
  ],
  [
    'of that, with sp',
    [[], ['v=DMARC1; p=reject; sp=quarantine']],
    'True/DmarcReady: Policy quarantine at _dmarc.corp.test',
  ],
  [
    'of the public suffix',
    [[], [], ['v=DMARC1; p=none; psd=y']],
    'True/DmarcReady: Policy none at _dmarc.test',
  ],
  [
    'of a top-level domain that is no public suffix',
    [[], [], ['v=DMARC1; p=none']],
    'True/DmarcReady: Policy none at _dmarc.test',
  ],
  [
    'two',
    [['v=DMARC1; p=none', 'v=DMARC1; p=reject']],
    `False/ValueMismatch: _dmarc.${domain} has 2 DMARC records, so receivers take none: keep one`,
  ],
  [
    'two above count as none',
    [[], ['v=DMARC1; p=none', 'v=DMARC1; p=reject']],
    `False/RecordNotFound: ${domain} has no DMARC record: ${publish}`,
  ],
  [
    'no policy',
    [['v=DMARC1; rua=mailto:a@b.test']],
    `False/ValueMismatch: The DMARC record at _dmarc.${domain} has no policy (p=): ${publish}`,
  ],
  [
    'unknown policy',
    [['v=DMARC1; p=drop']],
    `False/ValueMismatch: The DMARC record at _dmarc.${domain} has p=drop, which is none of none, quarantine, reject: ${publish}`,
  ],
  [
    'unknown alignment',
    [['v=DMARC1; p=none; adkim=x']],
    `False/ValueMismatch: The DMARC record at _dmarc.${domain} has adkim=x, which is none of r, s: ${publish}`,
  ],
  [
    'a tag twice',
    [['v=DMARC1; p=none; p=reject']],
    `False/ValueMismatch: The DMARC record at _dmarc.${domain} has p=(twice), which is none of none, quarantine, reject: ${publish}`,
  ],
  [
    'a bare address for reports',
    [['v=DMARC1; p=none; rua=a@b.test']],
    `False/ValueMismatch: The DMARC record at _dmarc.${domain} has rua=a@b.test, which is no URI (mailto:...): ${publish}`,
  ],
  [
    'version not first',
    [['p=none; v=DMARC1']],
    `False/ValueMismatch: The TXT record at _dmarc.${domain} does not begin with v=DMARC1;, so it is no DMARC record: ${publish}`,
  ],
  [
    'version in lower case',
    [['v=dmarc1; p=none']],
    `False/ValueMismatch: The TXT record at _dmarc.${domain} does not begin with v=DMARC1;, so it is no DMARC record: ${publish}`,
  ],
])('K11: DMARC record: %s', (_title, records, expected) => {
  expect(shown(...records)).toBe(expected);
});

it.each<[string, string[][], string]>([
  ['the highest record', [['v=DMARC1; p=none'], ['v=DMARC1; p=none']], 'corp.test'],
  ['psd=n ends there', [['v=DMARC1; p=none; psd=n'], ['v=DMARC1; p=none']], domain],
  ['one below psd=y', [['v=DMARC1; p=none'], [], ['v=DMARC1; p=none; psd=y']], 'corp.test'],
  ['its own record alone', [['v=DMARC1; p=none']], domain],
])('K11: organizational domain: %s (RFC 9989 section 4.10.2)', (_title, records, expected) => {
  expect(read(...records).alignment?.organizationalDomain).toBe(expected);
});
