import { expect, test } from 'vitest';
import { formatAddress } from './ip/address.ts';
import { tcpInfoOf } from './received.ts';

const by = 'by gw.example (Postfix) with ESMTP id 4F1; Wed, 25 Nov 2026 12:00:00 +0000';

test.each([
  ['Postfix', `from a.example (mail.a.example [192.0.2.1]) ${by}`, '192.0.2.1'],
  ['Postfix, no name', `from a.example (unknown [192.0.2.1]) ${by}`, '192.0.2.1'],
  ['Postfix, IPv6', `from a.example (unknown [IPv6:2001:db8::1]) ${by}`, '2001:db8::1'],
  ['Postfix, EHLO literal', `from [203.0.113.9] (unknown [192.0.2.1]) ${by}`, '192.0.2.1'],
  [
    'Postfix with TLS',
    `from a.example (unknown [192.0.2.1]) (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)) (Client CN "[203.0.113.9]", Issuer "x" (not verified)) ${by}`,
    '192.0.2.1',
  ],
  ['Exim', 'from a.example ([192.0.2.1]) by gw.example with esmtps (Exim 4.98) id 1a; now', '192.0.2.1'],
  [
    'Exim, other EHLO',
    'from b.example ([192.0.2.1] helo=a.example) by gw.example with esmtp; now',
    '192.0.2.1',
  ],
  [
    'Exim, port',
    'from b.example ([192.0.2.1]:4711 helo=[203.0.113.9]) by gw.example with esmtp',
    '192.0.2.1',
  ],
  ['Exim, no name', 'from [192.0.2.1] (helo=[203.0.113.9]) by gw.example with esmtp; now', '192.0.2.1'],
  [
    'Exim, no name, port',
    'from [192.0.2.1] (port=4711 helo=a.example) by gw.example with esmtp',
    '192.0.2.1',
  ],
  [
    'Sendmail',
    'from a.example (mail.a.example [192.0.2.1]) by gw (8.18.1/8.18.1) with ESMTP id 4F',
    '192.0.2.1',
  ],
  [
    'Sendmail, forged',
    'from a (a.example [192.0.2.1] (may be forged)) by gw (8.18.1) with ESMTP',
    '192.0.2.1',
  ],
  [
    'Sendmail, ident',
    'from a (root@a.example [192.0.2.1]) (authenticated bits=0) by gw with ESMTP',
    '192.0.2.1',
  ],
  [
    'Exchange',
    'from A.b.example (192.0.2.1) by C.b.example (10.0.0.2) with Microsoft SMTP Server',
    '192.0.2.1',
  ],
  [
    'Exchange, IPv6',
    'from A.b.example (2603:10a6:20b::17) by C (2603::2) with Microsoft SMTP',
    '2603:10a6:20b::17',
  ],
  ['Exchange SMTPSVC', 'from a.example ([192.0.2.1]) by gw with Microsoft SMTPSVC(6.0); now', '192.0.2.1'],
  [
    'Haraka',
    'from a.example (mail.a.example [192.0.2.1])\tby gw (Haraka/3.3.4) with ESMTPS id 4',
    '192.0.2.1',
  ],
  ['Haraka, no name', 'from a.example (Unknown [192.0.2.1])\tby gw (Haraka) with ESMTP id 4', '192.0.2.1'],
  ['Google', 'from a.example (a.example. [192.0.2.1]) by mx.google.com with ESMTPS id 2si', '192.0.2.1'],
  ['qmail', 'from unknown (HELO [203.0.113.9]) (192.0.2.1) by gw with SMTP; now', '192.0.2.1'],
  ['mapped', `from a (unknown [IPv6:::ffff:192.0.2.1]) ${by}`, '192.0.2.1'],
  ['EHLO "by"', `from by (unknown [192.0.2.1]) ${by}`, '192.0.2.1'],
  ['EHLO "from"', `from from (unknown [192.0.2.1]) ${by}`, '192.0.2.1'],
  ['EHLO with a quote', `from "a (unknown [192.0.2.1]) ${by}`, '192.0.2.1'],
])('D13: the TCP-info of a line by %s', (_writer, value, address) => {
  const found = tcpInfoOf(value);
  expect(found && formatAddress(found)).toBe(address);
});

test.each([
  ['an EHLO literal alone', `from [203.0.113.9] ${by}`],
  ['a literal of somebody unknown', `from [203.0.113.9] (a comment) ${by}`],
  ['two addresses', `from a (x [192.0.2.1]) (y [203.0.113.9]) ${by}`],
  ['two in one comment', `from a (x [192.0.2.1] [203.0.113.9]) ${by}`],
  ['an address in an inner comment', `from a (x ([203.0.113.9])) ${by}`],
  ['an address after by only', 'from a by gw (gw [192.0.2.1]) with ESMTP; now'],
  ['an address as name', `from 203.0.113.9 ${by}`],
  ['a local submission', 'by gw.example (Postfix, from userid 1000) id 4F1; now'],
  ['no by', 'from a (x [192.0.2.1])'],
  ['words between', `from a b (x [192.0.2.1]) ${by}`],
  ['no address', `from a (x [nonsense]) ${by}`],
  ['another spelling', `from a (x [010.0.0.1]) ${by}`],
  ['nothing', ''],
])('D13: a line with %s says nothing', (_what, value) => {
  expect(tcpInfoOf(value)).toBeUndefined();
});
