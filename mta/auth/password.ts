import { scrypt, timingSafeEqual } from 'node:crypto';
import type { Account } from '../../bundle/policy-bundle.ts';

interface ScryptHash {
  readonly N: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer;
  readonly key: Buffer;
}

/** Memory that one check may take, in bytes. A hash that asks for more is nobody's password. */
const maxMemory = 64 * 1_048_576;

/** Checked instead of a hash when there is none, so that the time of an answer does not tell which accounts exist. */
const nobody: ScryptHash = { N: 16_384, r: 8, p: 1, salt: Buffer.alloc(16), key: Buffer.alloc(32) };

/**
 * Whether the password is one of the account's that has not expired.
 * @param account undefined: there is no such account; the check takes its time all the same.
 * @param now seconds since the epoch.
 */
export async function verifyPassword(
  account: Account | undefined,
  password: string,
  now: number,
): Promise<boolean> {
  const usable = (account?.hashes ?? [])
    .filter(({ expires }) => expires === undefined || expires > now)
    .map(({ hash }) => parseHash(hash))
    .filter((hash) => hash !== undefined);
  if (usable.length === 0) {
    await matches(nobody, password);
    return false;
  }
  for (const hash of usable) if (await matches(hash, password)) return true;
  return false;
}

/** `scrypt$N$r$p$salt$key`, the last two in base64url; undefined for anything else. */
function parseHash(text: string): ScryptHash | undefined {
  const [, cost, block, parallel, salt = '', key = ''] =
    /^scrypt\$(\d{1,10})\$(\d{1,4})\$(\d{1,4})\$([A-Za-z0-9_-]+)\$([A-Za-z0-9_-]+)$/.exec(text) ?? [];
  const [N, r, p] = [Number(cost), Number(block), Number(parallel)];
  const powerOfTwo = N > 1 && Number.isInteger(Math.log2(N));
  if (!powerOfTwo || !(r > 0) || !(p > 0) || 128 * N * r * p > maxMemory) return undefined;
  return { N, r, p, salt: Buffer.from(salt, 'base64url'), key: Buffer.from(key, 'base64url') };
}

function matches({ N, r, p, salt, key }: ScryptHash, password: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, key.length, { N, r, p, maxmem: 2 * maxMemory }, (error, derived) => {
      if (error === null) resolve(timingSafeEqual(derived, key));
      else reject(error);
    });
  });
}
