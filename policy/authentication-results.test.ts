import { expect, test } from 'vitest';
import { formatResults, trustedResults } from './authentication-results.ts';
import { authenticationOf } from './fixture.ts';

const all = { spf: true, dkim: true, dmarc: true };

test('D15: results are written one method to a line (RFC 8601 section 2.2)', () => {
  const found = authenticationOf({
    spf: 'pass',
    dkim: { result: 'pass', domain: 'sender.example' },
    dmarc: 'pass',
    policy: 'reject',
    arc: { result: 'pass', sealer: 'list.example' },
  });
  expect(formatResults('mx.example.com', found, all)).toBe(
    [
      'mx.example.com',
      'spf=pass smtp.mailfrom=author@sender.example',
      'dkim=pass header.d=sender.example header.s=s1',
      'dmarc=pass policy.dmarc=reject header.from=sender.example',
      'arc=pass header.d=list.example',
    ].join(';\r\n\t'),
  );
});

test('only methods that are not Disabled are written', () => {
  expect(formatResults('mx', authenticationOf(), { spf: false, dkim: false, dmarc: true })).toBe(
    'mx;\r\n\tdmarc=none header.from=sender.example',
  );
});

test.each([
  '"x;dmarc=pass"@sender.example',
  'a@sender.example\r\nX-Injected: yes',
  'a(comment)@sender.example',
  'ü@sender.example',
])('nothing of a crafted sender gets into the field: %j', (value) => {
  const found = {
    ...authenticationOf(),
    spf: { result: 'fail', identity: { property: 'mailfrom', value } },
  } as const;
  expect(formatResults('mx', found, { spf: true, dkim: false, dmarc: false })).toBe('mx;\r\n\tspf=fail');
});

test('nothing of a crafted signature gets into the field', () => {
  const dkim = [{ result: 'pass', domain: 'a.example;\r\n dmarc=pass', selector: 'x y' }] as const;
  const text = formatResults('mx', { ...authenticationOf(), dkim }, { spf: false, dkim: true, dmarc: false });
  expect(text).toBe('mx;\r\n\tdkim=pass');
});

test('D15: results of a gateway are read, also with versions, comments and several signatures', () => {
  const value =
    'gw.example 1; spf=hardfail (x says; dmarc=pass) smtp.mailfrom=a@b.example; dkim=pass header.d=b.example header.s=k1; dkim=fail header.i=@c.example; dmarc=fail (p=quarantine dis=none) header.from=b.example';
  expect(trustedResults([['authentication-results', value]], 'GW.example')).toEqual({
    spf: { result: 'fail', identity: { property: 'mailfrom', value: 'a@b.example' } },
    dkim: [
      { result: 'pass', domain: 'b.example', selector: 'k1' },
      { result: 'fail', domain: 'c.example', selector: '' },
    ],
    dmarc: { result: 'fail', from: 'b.example', policy: 'quarantine' },
    arc: { result: 'none' },
  });
});
