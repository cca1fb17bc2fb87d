import { authenticate } from 'mailauth';
import { describe, expect, test } from 'vitest';
import { signMessage } from '../../mta/signer/signature.ts';
import { verifiers } from '../parts/dkim-verifiers.ts';
import { makeKey, publish } from './keys.ts';

const rsa = makeKey('a.example', 'rsa');
const small = makeKey('a.example', 'small', 'RSA', { bits: 1024 });
const ed = makeKey('a.example', 'ed', 'Ed25519');
const { records } = publish(rsa, small, ed);
const now = 1_795_608_000;

const head = 'From: User <user@a.example>\r\nTo: x@b.example\r\nSubject: hello\r\n';
/** Messages as SMTP carries them, dot-stuffed. */
const corpus: Record<string, string> = {
  plain: `${head}Date: Wed, 25 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@a.example>\r\n\r\ntext\r\n`,
  'no body': `${head}\r\n`,
  'no line between header and body': head,
  'only empty lines': `${head}\r\n\r\n\r\n`,
  'empty lines at the end': `${head}\r\none\r\n\r\n\r\n`,
  'white space': `${head}\r\n \t\r\na  b\t c \t\r\n\t  indented\r\nend   \r\n  \r\n`,
  'doubled dots': `${head}\r\n..\r\n...three\r\n..one\r\n`,
  'folded and odd header': `from:\tUser\r\n <user@a.example>\r\nSUBJECT:  a \r\n\t b\r\n  c\r\nX-Odd:\r\n \r\n\r\nx\r\n`,
  'eight bits': `${head}Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n`,
  'several of a kind': `${head}Cc: a@b.example\r\nCc: c@d.example\r\nTo: second@b.example\r\n\r\nx\r\n`,
  multipart: `${head}MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary="=_b"\r\n\r\n--=_b\r\n\r\none\r\n--=_b\r\n\r\n${'A'.repeat(5000)}\r\n--=_b--\r\n`,
};

/** What a mailbox gets. */
function unstuffed(wire: string): Buffer {
  return Buffer.from(wire.replace(/(^|\r\n)\./g, '$1'), 'latin1');
}

async function signed(wire: string, keys = [rsa, small, ed]): Promise<string> {
  return (await signMessage(Buffer.from(wire, 'latin1'), keys, now)) + wire;
}

const expected = {
  mailauth: ['ed=pass', 'rsa=pass', 'small=pass'],
  // It does not know Ed25519, and must take the others all the same.
  opendkim: ['rsa=pass', 'small=pass'],
  'python3-dkim': ['ed=pass', 'rsa=pass', 'small=pass'],
};

describe.each(['mailauth', 'opendkim', 'python3-dkim'] as const)('%s', (name) => {
  test.each(Object.entries(corpus))('K10, K15: accepts all signatures on: %s', async (_what, wire) => {
    const judged = await verifiers[name](unstuffed(await signed(wire)), records);
    expect(judged.filter((one) => name !== 'opendkim' || !one.startsWith('ed'))).toEqual(expected[name]);
  });

  test.each([
    ['a second From above', (text: string) => `From: boss@a.example\r\n${text}`],
    ['a second From below', (text: string) => text.replace('\r\n\r\n', '\r\nFrom: boss@a.example\r\n\r\n')],
    ['a Reply-To that was not there', (text: string) => `Reply-To: evil@b.example\r\n${text}`],
    ['another Subject', (text: string) => text.replace('hello', 'goodbye')],
    ['more text', (text: string) => `${text}more\r\n`],
  ])('K10: refuses it with %s', async (_what, change) => {
    const wire = corpus['plain'] ?? '';
    const changed = change(await signed(wire, [rsa]));
    expect(await verifiers[name](unstuffed(changed), records)).toEqual(['rsa=fail']);
  });
});

test('K10: the whole body is signed, with relaxed canonicalization, and h= names every field once more than it is there', async () => {
  const [field = ''] = (await signed(corpus['several of a kind'] ?? '', [rsa])).split(/\r\n(?=From)/);
  const tags = new Map(
    field
      .replace(/\r\n[ \t]+/g, '')
      .slice('DKIM-Signature: '.length)
      .split(';')
      .map((tag) => [tag.slice(0, tag.indexOf('=')).trim(), tag.slice(tag.indexOf('=') + 1)]),
  );
  expect(tags.has('l')).toBe(false);
  expect(tags.get('c')).toBe('relaxed/relaxed');
  expect(tags.get('a')).toBe('rsa-sha256');
  const names = (tags.get('h') ?? '').split(':');
  const times = (wanted: string) => names.filter((name) => name === wanted).length;
  expect(['From', 'To', 'Cc', 'Subject', 'Reply-To'].map(times)).toEqual([2, 3, 3, 2, 1]);
  for (const line of field.split('\r\n')) expect(line.length).toBeLessThan(79);
});

test('K11: the signature is aligned under strict DMARC without SPF, and that of another domain is not', async () => {
  const policy = { '_dmarc.a.example': 'v=DMARC1; p=reject; adkim=s; aspf=s' };
  const dmarcOf = async (key: typeof rsa) => {
    const known: Readonly<Record<string, string>> = { ...publish(key).records, ...policy };
    const resolver = async (name: string, type: string) => {
      const record = type === 'TXT' ? known[name] : undefined;
      if (record !== undefined) return [[record]];
      throw Object.assign(new Error(`no ${name}`), { code: 'ENOTFOUND' });
    };
    const message = unstuffed(await signed(corpus['plain'] ?? '', [key]));
    const envelope = { ip: '192.0.2.1', helo: 'mx.b.example', sender: '' };
    const { dmarc } = await authenticate(message, { resolver, disableBimi: true, ...envelope });
    return dmarc === false ? 'none' : dmarc.status.result;
  };
  expect(await dmarcOf(rsa)).toBe('pass');
  expect(await dmarcOf(makeKey('mail.a.example', 'sub'))).toBe('fail');
});
