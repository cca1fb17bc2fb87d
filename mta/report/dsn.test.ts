import { expect, test } from 'vitest';
import { formatDsn, statusOf } from './dsn.ts';

const failure = {
  sender: 'user@a.example',
  recipient: 'x@b.example',
  status: '5.1.1',
  reason: 'refused: 550 5.1.1 no\r\nBcc: evil@c.example \u001b[31m',
  header: '.odd: 1\r\nSubject: mine\r\n\r\n',
  arrived: 1_795_608_000_000,
};
const reporter = { heloName: 'mx.example', postmaster: 'pm@mx.example', id: 'ID1', now: 1_795_608_060_000 };

test('G9: a report has the three parts of RFC 3464, and what a stranger said stays in its line', () => {
  const text = formatDsn(failure, reporter).toString('latin1');
  expect(text).toContain(
    'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="=_ID1"\r\n',
  );
  expect(text).toContain('Final-Recipient: rfc822; x@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\n');
  expect(text).toContain('Diagnostic-Code: smtp; refused: 550 5.1.1 no Bcc: evil@c.example [31m\r\n');
  expect(text).toContain('Content-Type: text/rfc822-headers\r\n\r\n..odd: 1\r\nSubject: mine\r\n');
  expect(text).toMatch(/^--=_ID1--\r$/m);
  expect(text).toContain('Date: Wed, 25 Nov 2026 12:01:00 +0000\r\n');
  for (const line of text.split('\r\n')) expect(line).toMatch(/^[\t -~]*$/);
});

test.each([
  ['550 5.1.1 no such user', '5.1.1'],
  ['4.7.4 No TLS available but required', '5.7.4'],
  ['Too many failures (Tried all MXs): 451 4.4.3 later', '5.4.3'],
  ['554 no', '5.0.0'],
  ['host 192.0.2.5.1 said no', '5.0.0'],
])('the status of "%s" is %s', (reason, status) => {
  expect(statusOf(reason)).toBe(status);
});
