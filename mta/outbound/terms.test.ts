import { expect, test } from 'vitest';
import type { TlsDemand } from '../../policy/outbound-tls.ts';
import { addressFilter } from './public-address.ts';
import { strengthened, termsOfMx } from './terms.ts';

const terms = termsOfMx(new Map([['192.0.2.1', 'mx.partner.example']]));
const demand: TlsDemand = {
  requireTrustedCA: false,
  requireHostnameMatch: false,
  caBundles: [],
  onFailure: 'Defer',
  giveUpAfterSeconds: 60,
};
const tlsOf = (over: Partial<TlsDemand>, own: Partial<typeof terms.tls> = {}) =>
  strengthened({ ...terms, tls: { ...terms.tls, ...own } }, { ...demand, ...over }, () => 0).tls;

test('T8: requirements add up with those of the Route, and never weaken them', () => {
  expect(tlsOf({})).toEqual({ mode: 'Required', verify: 'None' });
  expect(
    tlsOf({ requireHostnameMatch: true }, { mode: 'Required', verify: 'TrustedCA', caBundle: 'PEM' }),
  ).toEqual({
    mode: 'Required',
    verify: 'TrustedCAAndHostname',
    caBundle: 'PEM',
  });
  expect(tlsOf({}, { mode: 'Implicit', verify: 'Hostname' })).toEqual({
    mode: 'Implicit',
    verify: 'Hostname',
  });
});

test('T8: trust stores that differ are never taken for one another: no certificate meets both', () => {
  const different = { requireTrustedCA: true, caBundles: ['PEM', 'System'] };
  expect(tlsOf(different)).toMatchObject({ verify: 'TrustedCA', untrusted: expect.stringContaining('TLS') });
});

test.each([
  '10.1.2.3',
  '127.0.0.1',
  '169.254.169.254',
  '172.31.0.1',
  '192.168.0.1',
  '0.0.0.0',
  '255.255.255.255',
  '::1',
  '::ffff:127.0.0.1',
  'fe80::1',
  'fd00::1',
])('R7: an MX must not lead to %s, unless it is allowed', (address) => {
  expect(addressFilter([])(address)).toBe(false);
  expect(addressFilter([address])(address)).toBe(true);
});

test.each(['192.0.2.1', '172.32.0.1', '2001:db8::1'])('R7: an MX may lead to %s', (address) => {
  expect(addressFilter([])(address)).toBe(true);
});
