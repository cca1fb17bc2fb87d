import * as z from 'zod';
import { sourceRef } from './source.ts';

/**
 * The addresses of one IpAccessList, compiled: canonical (RFC 5952 text, no host bits), sorted, without duplicates.
 * A DomainPolicy names lists by `key`, so a list that serves many domains is carried once.
 */
export const rangeList = z.strictObject({
  /** `<IpAccessList name>`: unique in a namespace. */
  key: z.string().min(1).max(253),
  source: sourceRef,
  /** Addresses and CIDRs: `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`. A full-length prefix is written as the address alone. */
  ranges: z.array(z.string().min(2).max(43)),
  /** For entries with an expireTime: the text in `ranges` -> seconds since the epoch at which the entry stops acting. */
  expires: z.record(z.string(), z.int()),
});
export type RangeList = z.infer<typeof rangeList>;
