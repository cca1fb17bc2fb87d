import { createPublicKey, type KeyObject } from 'node:crypto';
import { describeKey, ed25519SpkiPrefix } from '../compile/dkim-public-key.ts';
import type { DkimAnswer } from '../compile/model.ts';

/** Tag names are case-sensitive and values may be folded (RFC 6376 section 3.2). */
const tagName = /^[A-Za-z][A-Za-z0-9_]*$/;
/** Verifiers must refuse RSA keys below this (RFC 8301 section 3.2). */
const minRsaBits = 1024;

/**
 * Reads a tag list.
 *
 * @param text the strings of one TXT record, joined
 * @returns the tags in the order in which they stand, or a sentence that says why the text is no tag list
 */
export function parseDkimTags(text: string): ReadonlyMap<string, string> | string {
  const specs = text.split(';');
  // A final semicolon is allowed, an empty tag elsewhere is not.
  if (specs.length > 1 && specs.at(-1)?.trim() === '') specs.pop();
  const tags = new Map<string, string>();
  for (const spec of specs) {
    const equals = spec.indexOf('=');
    const name = spec.slice(0, Math.max(0, equals)).trim();
    if (!tagName.test(name)) return 'the TXT record is no list of tag=value pairs';
    if (tags.has(name)) return `the tag ${bounded(name)}= stands twice`;
    tags.set(name, spec.slice(equals + 1).trim());
  }
  return tags;
}

/**
 * What receivers would make of the TXT records at a selector, measured against the key that should be there. Tags are
 * compared, not text: their order, spaces and additions such as `t=s` do not matter.
 *
 * @param records one entry per TXT record, its strings joined
 * @param expectedValue the value to be published; well-formed
 */
export function judgeDkimRecords(records: readonly string[], expectedValue: string): DkimAnswer {
  const [text] = records;
  if (text === undefined) return { result: 'RecordNotFound', detail: 'there is no TXT record' };
  if (records.length > 1) return { result: 'MultipleRecords', detail: 'there is more than one TXT record' };
  const tags = parseDkimTags(text);
  if (typeof tags === 'string') return mismatch(tags);
  const expected = parseDkimTags(expectedValue);
  if (typeof expected === 'string') throw new TypeError(`expected value of a DKIM record: ${expected}`);
  return judgeFlags(tags, expected) ?? judgeKey(tags, expected);
}

function judgeFlags(
  tags: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
): DkimAnswer | undefined {
  const shouted = [...tags.keys()].find((name) => !expected.has(name) && expected.has(name.toLowerCase()));
  if (shouted !== undefined) {
    return mismatch(`tag names are case-sensitive: write ${shouted.toLowerCase()}= instead of ${shouted}=`);
  }
  const version = tags.get('v');
  if (version !== undefined && (version !== 'DKIM1' || [...tags.keys()][0] !== 'v')) {
    return mismatch('v= must come first and be DKIM1');
  }
  if ((tags.get('k') ?? 'rsa') !== expected.get('k')) return mismatch(`k= must be ${expected.get('k')}`);
  if (!lists(tags.get('h'), ['sha256'])) return mismatch('h= leaves out sha256, which signatures use');
  if (!lists(tags.get('s'), ['*', 'email'])) return mismatch('s= leaves out email');
  return undefined;
}

function judgeKey(tags: ReadonlyMap<string, string>, expected: ReadonlyMap<string, string>): DkimAnswer {
  const wanted = expected.get('p') ?? '';
  const p = tags.get('p')?.replaceAll(/\s/g, '');
  if (p === undefined) return mismatch('the TXT record has no p= tag');
  if (p === '') return { result: 'Revoked', detail: 'p= is empty, which revokes the key' };
  const found = readPublicKey(p, expected.get('k'));
  const sameKey = typeof found === 'string' && found === readPublicKey(wanted, expected.get('k'));
  if (p === wanted || sameKey) return match(tags);
  if (typeof found === 'number') {
    return { result: 'KeyTooShort', detail: `the RSA key has ${found} bits, fewer than ${minRsaBits}` };
  }
  if (wanted.startsWith(p)) {
    return mismatch(
      `p= is cut off after ${p.length} of ${wanted.length} characters: enter the value as strings of at most 255`,
    );
  }
  return mismatch(found === undefined ? 'p= holds no public key' : 'p= holds another key');
}

function match(tags: ReadonlyMap<string, string>): DkimAnswer {
  if (!items(tags.get('t')).includes('y')) return { result: 'Match' };
  return { result: 'Match', detail: 't=y marks the key as a test, so receivers may ignore its signatures' };
}

/** SHA-256 of the key in a `p=` tag, its length in bits if that is too short, or undefined if it is none. */
function readPublicKey(p: string, algorithm: string | undefined): string | number | undefined {
  const bytes = Buffer.from(p, 'base64');
  const key = algorithm === 'ed25519' ? readEd25519(bytes) : readRsa(bytes);
  const described = key === undefined ? undefined : describeKey(key);
  if (described?.algorithm === 'RSA' && described.bits < minRsaBits) return described.bits;
  return described?.publicKeySHA256;
}

function readEd25519(bytes: Buffer): KeyObject | undefined {
  return bytes.length === 32 ? importKey(Buffer.concat([ed25519SpkiPrefix, bytes]), 'spki') : undefined;
}

/** RFC 6376 says RSAPublicKey, everybody publishes SubjectPublicKeyInfo (erratum 3017), and verifiers take both. */
function readRsa(bytes: Buffer): KeyObject | undefined {
  const key = importKey(bytes, 'spki') ?? importKey(bytes, 'pkcs1');
  return key?.asymmetricKeyType === 'rsa' ? key : undefined;
}

function importKey(key: Buffer, type: 'spki' | 'pkcs1'): KeyObject | undefined {
  try {
    return createPublicKey({ key, format: 'der', type });
  } catch {
    return undefined;
  }
}

/** Whether a colon-separated list, if there is one, has one of the items. */
function lists(value: string | undefined, wanted: readonly string[]): boolean {
  return value === undefined || items(value).some((item) => wanted.includes(item));
}

function items(value: string | undefined): string[] {
  return value?.split(':').map((item) => item.trim()) ?? [];
}

function mismatch(detail: string): DkimAnswer {
  return { result: 'ValueMismatch', detail };
}

/** DNS is written by strangers, and details end in statuses. */
function bounded(name: string): string {
  return name.length > 16 ? `${name.slice(0, 16)}...` : name;
}
