import { expect, test } from 'vitest';
import type { MailDnsObservation } from '../compile/model.ts';
import { rememberMailDns } from './mail-dns-memory.ts';

const mx = { exchangers: [{ host: 'mx.a.test', preference: 10, addresses: [] }], ownAddresses: [] };
const good: MailDnsObservation = {
  mailDomain: 'a',
  question: 'q',
  checkedAt: 1,
  unchanged: 0,
  mx: { answered: true, value: mx, failures: 0 },
  spf: { answered: true, value: { records: [], senders: [] }, failures: 0 },
  dmarc: { answered: true, value: [], failures: 0 },
};
const silent = (detail = 'it does not answer in time'): MailDnsObservation => ({
  ...good,
  checkedAt: 2,
  mx: { answered: false, detail, failures: 1 },
});

test('X15: what got no answer stays as it was known, until that has happened three times in a row', () => {
  const once = rememberMailDns(good, silent());
  const twice = rememberMailDns(once, silent());
  const thrice = rememberMailDns(twice, silent());
  expect([once, twice].map(({ mx: fact }) => fact)).toEqual([
    { answered: true, value: mx, failures: 1 },
    { answered: true, value: mx, failures: 2 },
  ]);
  expect(thrice.mx).toEqual({ answered: false, detail: 'it does not answer in time', failures: 3 });
  expect(rememberMailDns(twice, good).mx).toEqual(good.mx);
});

test('ST5: a server that fails in turn in two ways keeps the words of the first', () => {
  const first = rememberMailDns(undefined, silent('it answers SERVFAIL'));
  expect(rememberMailDns(first, silent()).mx).toEqual({
    answered: false,
    detail: 'it answers SERVFAIL',
    failures: 2,
  });
});

test('equal answers are counted, a failure that changes nothing among them; another question begins anew', () => {
  const again = rememberMailDns(good, good);
  expect(again.unchanged).toBe(1);
  expect(rememberMailDns(again, silent()).unchanged).toBe(2);
  expect(
    rememberMailDns(again, {
      ...good,
      dmarc: { answered: true, value: [{ name: 'a.test', records: ['x'] }], failures: 0 },
    }).unchanged,
  ).toBe(0);
  const other = { ...silent(), question: 'other' };
  expect(rememberMailDns(again, other)).toBe(other);
});
