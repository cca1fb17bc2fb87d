import * as z from 'zod';
import { domainPolicy } from './domain-policy.ts';
import { rangeList } from './range-list.ts';
import { routePolicy } from './route-policy.ts';

/** The format of the bundle. A pod says in /state which it can read; the operator renders the newest that all can. */
export const bundleVersion = 1;

/** The public policy of one MTA: everything that decides, nothing that is secret. Plain data, byte-stable. */
export const policyBundle = z.strictObject({
  version: z.literal(bundleVersion),
  namespace: z.string().min(1).max(63),
  mta: z.string().min(1).max(40),
  /** Sorted by domain name; one per hosted domain. */
  domains: z.array(domainPolicy),
  /** The whole slice as it would be with every object in Audit enforced; only for domains where that differs (G15). */
  audited: z.array(domainPolicy),
  /** Sorted by key. */
  lists: z.array(rangeList),
  /** Sorted by name. */
  routes: z.array(routePolicy),
});
export type PolicyBundle = z.infer<typeof policyBundle>;

/** A bundle without its lists, which are nearly all of its bytes: an MTA never holds those as text. */
export type PolicyRules = Omit<PolicyBundle, 'lists'>;

/** One submission account (P3). Hashes are `scrypt$N$r$p$salt$key`, base64url. */
export const account = z.strictObject({
  name: z.string().min(3).max(320),
  kind: z.enum(['User', 'Relay']),
  hashes: z.array(
    z.strictObject({ hash: z.string(), label: z.string().optional(), expires: z.int().optional() }),
  ),
  sendAs: z.array(z.string()),
  fromRoute: z.string().optional(),
});
export type Account = z.infer<typeof account>;

/** The secret half of an MTA's policy. It travels in Secrets alone, and no hash of it ever stands in a public object. */
export const secretBundle = z.strictObject({
  version: z.literal(bundleVersion),
  /** Route name -> credentials. */
  routeAuth: z.record(z.string(), z.strictObject({ username: z.string(), password: z.string() })),
  /** Domain -> its accounts. */
  accounts: z.record(z.string(), z.array(account)),
  /** `<domain>/<selector>` -> PKCS#8 PEM. */
  dkimKeys: z.record(z.string(), z.string()),
  /** What marks of hops are made with: the same in all pods of the tenant, 32 bytes in base64url. Absent until it was made. */
  hopKey: z.string().length(43).optional(),
});
export type SecretBundle = z.infer<typeof secretBundle>;
