import { randomBytes, randomInt, scrypt } from 'node:crypto';

/** Letters and digits that cannot be mistaken for each other when they are typed. */
const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789';
const groups = 5;
const groupLength = 5;

/** The costs of OWASP's second choice for scrypt: 16 MiB and some 50 ms, which the MTA pays for each AUTH. */
const costs = { N: 16_384, r: 8, p: 1 } as const;
const keyLength = 32;

/** A password for one program, which nobody has to remember: 25 characters, about 123 bits. */
export function makePassword(): string {
  const character = () => alphabet[randomInt(alphabet.length)] ?? '';
  const group = () => Array.from({ length: groupLength }, character).join('');
  return Array.from({ length: groups }, group).join('-');
}

/** @returns `scrypt$N$r$p$salt$key`, as accounts Secrets hold it. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const key = await new Promise<Buffer>((resolve, reject) => {
    scrypt(password, salt, keyLength, costs, (error, derived) => {
      if (error === null) resolve(derived);
      else reject(error);
    });
  });
  const { N, r, p } = costs;
  return ['scrypt', N, r, p, salt.toString('base64url'), key.toString('base64url')].join('$');
}
