import { scryptSync } from 'node:crypto';
import type { Account } from '../../bundle/policy-bundle.ts';
import type { MtaProcess } from './mta-process.ts';
import type { SmtpClient } from './smtp-client.ts';

/** Of every account. */
export const password = 'open-sesame';

/** An account with the password that `signIn` uses; cheap to check. */
export function accountOf(name: string, over: Partial<Account> = {}): Account {
  const key = scryptSync(password, 'salt', 32, { N: 1024, r: 8, p: 1 });
  const hash = `scrypt$1024$8$1$${Buffer.from('salt').toString('base64url')}$${key.toString('base64url')}`;
  return { name, kind: 'User', hashes: [{ hash }], sendAs: [], ...over };
}

/** AUTH PLAIN with the name of an account and its password (RFC 4616). */
export function authLine(name: string): string {
  return `AUTH PLAIN ${Buffer.from(`\0${name}\0${password}`).toString('base64')}`;
}

/** A session on the submission listener, over TLS and authenticated. */
export async function signIn(mta: MtaProcess, name: string): Promise<SmtpClient> {
  // Another address than the proxy's, should the MTA have one.
  return signInOn(await mta.session('submission', '127.0.0.2'), name);
}

/** STARTTLS and AUTH on a session with any server, after its EHLO. @returns the session. */
export async function signInOn(session: SmtpClient, name: string): Promise<SmtpClient> {
  await session.send('STARTTLS');
  await session.secure();
  await session.send('EHLO client.example');
  const reply = await session.send(authLine(name));
  if (!reply.startsWith('235')) throw new Error(`${name} cannot sign in: ${reply}`);
  return session;
}
