import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundleOf, domainPolicy } from '../../policy/fixture.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { route } from './route.ts';
import { type Sink, startSink } from './sink.ts';

// Messages as strangers write them reach the mailbox server octet by octet, below the fields that we say we add.

let sink: Sink;
let mta: MtaProcess;
beforeAll(async () => {
  sink = await startSink();
  const mailbox = { kind: 'Route', route: 'store' } as const;
  mta = await startMta({
    bundle: {
      ...bundleOf([domainPolicy('example.com', { mailbox, maxMessageBytes: 1_000_000 })]),
      routes: [route('store', sink.port, { tls: { mode: 'Disabled', verify: 'None' } })],
    },
  });
});
afterAll(async () => {
  await mta?.[Symbol.asyncDispose]();
  await sink?.[Symbol.asyncDispose]();
});

/** Sends the octets (Latin-1 text) and returns those that arrived. */
async function pass(octets: string): Promise<string> {
  const before = sink.mails.length;
  const session = await mta.session();
  const replies = await session.mail({ to: ['user@example.com'], data: octets.replace(/^\./gm, '..') });
  expect(replies.at(-1)).toMatch(/^250 /);
  await session.send('QUIT');
  await eventually(() => sink.mails.length > before, 'the message has arrived');
  return sink.mails.at(-1)?.data ?? '';
}

/** What stands on top of every message: the Junk marker, and one Received field of four lines at most. */
const ownFields = /^X-Spam-Flag: NO\r\nReceived: [^\r]*\r\n(?:\t[^\r]*\r\n){0,4}/;

const from = 'From: <a@b.example>\r\n';
const nested = (depth: number): string =>
  depth === 0
    ? 'Content-Type: text/plain\r\n\r\ndeep\r\n'
    : `Content-Type: multipart/mixed; boundary=b${depth}\r\n\r\n--b${depth}\r\n${nested(depth - 1)}--b${depth}--\r\n`;

const corpus: Record<string, string> = {
  'plain text': `${from}Subject: x\r\n\r\nhello\r\n`,
  'no body': `${from}Subject: x\r\n\r\n`,
  'no end of the header': `${from}Subject: x\r\n`,
  '8-bit octets in the body, none of them UTF-8': `${from}\r\n\xe4\xf6\xfc \xff\xfe\x80\r\n`,
  '8-bit octets in the header': `${from}Subject: \xe4\xf6 \xc3\xa4 \xff\r\n\r\nx\r\n`,
  'control characters': `${from}\r\n\x01\x02\x07\x1b[2J\x7f\r\n`,
  'lines of dots': `${from}\r\n.\r\n..\r\n...x\r\n.x\r\n`.replace('\r\n.\r\n', '\r\n. \r\n'),
  'a long line in the body': `${from}\r\n${'x'.repeat(20_000)}\r\n`,
  'a long line in the header': `${from}X-Long: ${'y'.repeat(5_000)}\r\n\r\nx\r\n`,
  'folded fields with odd white space': `${from}Subject: a\r\n\t b\r\n  \tc \r\nX-Tab:\tx\t\r\n\r\nx\r\n`,
  'spaces at the ends of lines and empty lines at the end': `${from}\r\nx  \r\n \r\n\r\n\r\n\r\n`,
  'names in odd case, twice, and without a space': `fRoM:a@b.example\r\nX-A:1\r\nx-a: 2\r\nX-A : 3\r\n\r\nx\r\n`,
  'a header line that is no field': `${from}this is no field\r\nSubject: x\r\n\r\nx\r\n`,
  'MIME without its end': `${from}Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n`,
  'MIME with a wrong boundary and a wrong encoding': `${from}Content-Type: multipart/mixed; boundary=\r\nContent-Transfer-Encoding: base64\r\n\r\n--\r\n=?=\r\n`,
  'MIME, 60 levels deep': `${from}MIME-Version: 1.0\r\n${nested(60)}`,
  'a message in a message, with fields of ours': `${from}Content-Type: message/rfc822\r\n\r\nX-Spam-Flag: YES\r\nX-Postern-Mark: x\r\n\r\nx\r\n`,
  'a line that begins like one of a mailbox file': `${from}\r\nFrom a@b.example Wed Nov 25 12:00:00 2026\r\n>From x\r\n`,
  'a signature and results of others': `DKIM-Signature: v=1; a=rsa-sha256; d=x.example;\r\n\tb=abc\r\nAuthentication-Results: other.example; spf=pass\r\n${from}\r\nx\r\n`,
};

test.each(Object.entries(corpus))('%s arrives as it was sent', async (_, octets) => {
  const arrived = await pass(octets);
  expect(arrived).toMatch(ownFields);
  expect(arrived.replace(ownFields, '')).toBe(octets);
});

test('G18, S4: what only we may write is taken out with all its lines, and nothing else', async () => {
  const octets = [
    ' spf=pass; a line that would continue our own field\r\n',
    'X-Spam-Flag: YES\r\n',
    'X-Kept: 1\r\n',
    'x-spam-status: Yes,\r\n\tscore=100\r\n  required=5\r\n',
    'X-Postern-Mark: forged\r\n',
    'X-POSTERN : x\r\n',
    'X-Postern-Other : x\r\n',
    'Authentication-Results: mx.mta.example;\r\n\tspf=pass\r\n',
    from,
    'X-Spam-Level: ***\r\n\r\nX-Spam-Flag: YES, says the body\r\n',
  ].join('');
  const kept = `X-Kept: 1\r\nX-POSTERN : x\r\n${from}\r\nX-Spam-Flag: YES, says the body\r\n`;
  expect((await pass(octets)).replace(ownFields, '')).toBe(kept);
});
