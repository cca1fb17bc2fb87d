import { parse } from 'yaml';
import * as z from 'zod';
import type { Account } from '../../bundle/policy-bundle.ts';
import { compareText } from '../../bundle/shards.ts';
import type { Hosted } from './domains.ts';
import { type References, type RefProblem, readSecret, secretText } from './references.ts';

/** Key of an accounts Secret: a YAML or JSON list of accounts. */
export const accountsKey = 'accounts.yaml';
/** Value of the label `postern.dev/use` of such a Secret. */
export const accountsUse = 'accounts';
const maxShownFaults = 8;

/** The accounts of a domain, as they go into the secret bundle. */
export interface Submission {
  /** Undefined: submission is off, or its Secret cannot be used, and nobody can sign in. */
  readonly accounts?: Account[];
  readonly revision?: string;
  readonly problems: readonly RefProblem[];
}

const address = z
  .string()
  .max(320)
  .regex(/^[A-Za-z0-9#$&'*+/=?^_`{|}~.-]+@[a-z0-9.-]+$/, 'must be a mail address, its domain in lower case');
const scrypt = z
  .string()
  .max(1_024)
  .regex(
    /^scrypt\$[0-9]{1,10}\$[0-9]{1,4}\$[0-9]{1,4}\$[A-Za-z0-9_-]+\$[A-Za-z0-9_-]+$/,
    'must be scrypt$N$r$p$salt$key',
  );

const writtenAccount = z.strictObject({
  name: address,
  kind: z.enum(['User', 'Relay']).default('User'),
  hashes: z
    .array(
      z.strictObject({
        hash: scrypt,
        label: z.string().max(256).optional(),
        expireTime: z.iso
          .datetime({ offset: true, message: 'must be a time such as 2026-12-31T00:00:00Z' })
          .optional(),
      }),
    )
    .max(32)
    .default([]),
  sendAs: z
    .array(z.union([address, z.string().regex(/^\*@[a-z0-9.-]+$/)]))
    .max(1_000)
    .default([]),
  fromRoute: z.string().max(253).optional(),
});

/**
 * Reads the accounts of a domain (P3). One that cannot be read is reported by its place, never by its content, and hides no
 * other: an account that is missing cannot sign in, which is the safe side.
 */
export function compileSubmission(hosted: Hosted, references: References): Submission {
  const { enabled, accountsSecretRef } = hosted.object.spec.submission;
  if (!enabled || accountsSecretRef === undefined) return { problems: [] };
  const field = 'spec.submission.accountsSecretRef';
  const { name } = accountsSecretRef;
  const secret = readSecret(name, field, accountsUse, references);
  if (!secret.ok) return { problems: [secret.problem] };
  const text = secretText(secret.value, accountsKey);
  if (text === undefined) {
    const message = `${field}: Secret ${name} lacks the key ${accountsKey}`;
    return { problems: [{ reason: 'SecretNotFound', message }] };
  }
  const { accounts, faults } = readAccounts(text, hosted.domain, references);
  const message = `${field}: Secret ${name} key ${accountsKey}: ${shownFaults(faults)}`;
  const problems: RefProblem[] = faults.length === 0 ? [] : [{ reason: 'InvalidSourceData', message }];
  return { accounts, revision: `${name}@${secret.value.revision}`, problems };
}

/**
 * Reads the list of a Secret.
 * @param references which Routes there are.
 * @returns the accounts that can be used, and what is wrong with the others (by place, never by content).
 */
export function readAccounts(
  text: string,
  domain: string,
  references: { readonly routes: Pick<References['routes'], 'has'> },
): { accounts: Account[]; faults: string[] } {
  let written: unknown;
  try {
    written = parse(text.toWellFormed(), { logLevel: 'error' });
  } catch {
    // The parser quotes the text, which holds password hashes.
    return { accounts: [], faults: ['is no YAML'] };
  }
  if (!Array.isArray(written)) return { accounts: [], faults: ['is no list of accounts'] };
  const accounts = new Map<string, Account>();
  const faults: string[] = [];
  for (const [index, item] of written.entries()) {
    const parsed = writtenAccount.safeParse(item);
    const fault = parsed.success ? faultOf(parsed.data, domain, accounts) : firstIssue(parsed.error);
    if (fault !== undefined || !parsed.success) {
      faults.push(`account ${index + 1}: ${fault}`);
      continue;
    }
    accounts.set(parsed.data.name.toLowerCase(), compiled(parsed.data));
    // Reported, and kept: what lies in the secret half must depend on nothing but the Secret, whose version names it.
    const { fromRoute } = parsed.data;
    if (fromRoute !== undefined && !references.routes.has(fromRoute)) {
      faults.push(`account ${index + 1}: fromRoute: no such Route in this namespace`);
    }
  }
  return {
    accounts: [...accounts.values()].sort((left, right) => compareText(left.name, right.name)),
    faults,
  };
}

/** An account speaks for its own domain only: sending as a domain of somebody else is what P5 forbids. */
function faultOf(
  account: z.output<typeof writtenAccount>,
  domain: string,
  others: ReadonlyMap<string, Account>,
): string | undefined {
  if (!account.name.endsWith(`@${domain}`)) return `name: must be an address of ${domain}`;
  if (others.has(account.name.toLowerCase())) return 'name: another account has it';
  if (!account.sendAs.every((one) => one.endsWith(`@${domain}`)))
    return `sendAs: must be addresses of ${domain}`;
  if (account.kind === 'User' && account.sendAs.some((one) => one.startsWith('*'))) {
    return 'sendAs: only an account of kind Relay may send as *@domain';
  }
  return undefined;
}

function firstIssue({ issues }: z.ZodError): string {
  const [first] = issues;
  if (first === undefined) return 'is no account';
  // That message would quote what stands there, which may be anything.
  const what = first.code === 'unrecognized_keys' ? 'has a field that is none of an account' : first.message;
  return first.path.length === 0 ? what : `${first.path.map(String).join('.')}: ${what}`;
}

function shownFaults(faults: readonly string[]): string {
  const more = faults.length > maxShownFaults ? ` and ${faults.length - maxShownFaults} more` : '';
  return `${faults.slice(0, maxShownFaults).join('; ')}${more}`;
}

function compiled({ hashes, name, sendAs, fromRoute, kind }: z.output<typeof writtenAccount>): Account {
  return {
    name: name.toLowerCase(),
    kind,
    hashes: hashes.map(({ hash, label, expireTime }) => ({
      hash,
      ...(label === undefined ? {} : { label }),
      ...(expireTime === undefined ? {} : { expires: Math.ceil(Date.parse(expireTime) / 1000) }),
    })),
    sendAs: [...new Set(sendAs)].sort(compareText),
    ...(fromRoute === undefined ? {} : { fromRoute }),
  };
}
