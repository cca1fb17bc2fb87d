import { randomBytes, scryptSync } from 'node:crypto';
import type { Account } from '../../bundle/policy-bundle.ts';
import type { MtaProcess } from './mta-process.ts';
import type { SmtpClient } from './smtp-client.ts';

/** The password of every account that `accountOf` makes. */
const password = 'open-sesame';

/** A hash of a password, in few rounds. */
function hashOf(text: string): string {
  const salt = randomBytes(8);
  const key = scryptSync(text, salt, 32, { N: 1024, r: 8, p: 1 });
  return `scrypt$1024$8$1$${salt.toString('base64url')}$${key.toString('base64url')}`;
}

/** A submission account. */
export function accountOf(name: string, over: Partial<Account> = {}): Account {
  return { name, kind: 'User', hashes: [{ hash: hashOf(password) }], sendAs: [], ...over };
}

/** A session on the submission port, over TLS, signed in. */
export async function signedIn(mta: MtaProcess, account: string, localAddress?: string): Promise<SmtpClient> {
  const session = await mta.session('submission', localAddress);
  await session.send('STARTTLS');
  await session.secure();
  await session.send('EHLO client.example');
  const credentials = Buffer.from(`\0${account}\0${password}`).toString('base64');
  const reply = await session.send(`AUTH PLAIN ${credentials}`);
  if (!reply.startsWith('235')) throw new Error(`AUTH as ${account}: ${reply}`);
  return session;
}
