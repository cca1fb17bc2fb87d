import * as z from 'zod';
import { bundleVersion } from './policy-bundle.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** One shard: the file (key of a ConfigMap or Secret) and the hash of its bytes before compression. */
const shard = z.strictObject({
  /** `<NN>-<first 12 hex of sha256>.json.gz`, NN the shard's number: always gzip. */
  file: z.string().regex(/^[0-9]{2}-[0-9a-f]{12}\.json\.gz$/),
  sha256,
});

/** File name of the public index in the policy directory. */
export const publicIndexFile = 'index.json';
/**
 * File name of the secret index that belongs to a public one. The two lie in objects that are written one after the other: by
 * its revision the public index finds its own secret index while the next one lies beside it already.
 *
 * @param revision `secretsRevision` of the public index
 */
export const secretIndexFile = (revision: string): string => `secret-index-${revision.slice(0, 12)}.json`;
/** What `secretIndexFile` makes. */
export const secretIndexPattern = /^secret-index-[0-9a-f]{12}\.json$/;
/** Prefix of a secret shard's file, so that both kinds can lie in one projected directory. */
export const secretShardPrefix = 'secret-';

/** Names every public shard. An MTA swaps only when this index and all shards of it agree. */
export const shardIndex = z.strictObject({
  version: z.literal(bundleVersion),
  namespace: z.string(),
  mta: z.string(),
  /** SHA-256 over the canonical JSON of all that follows: what a pod reports as loaded. */
  bundleHash: sha256,
  /** Must equal the secret index's `revision`; derived from names and versions of Secrets, never from their bytes. */
  secretsRevision: sha256,
  shards: z.array(shard),
  /** Domain -> policyHash, Route name -> hash of its slice: what the operator compares with a pod's /state. */
  domains: z.record(z.string(), sha256),
  routes: z.record(z.string(), sha256),
  /**
   * List key -> hash of its entries (not of its source, which stands in its head) and the number of pieces they lie in: a
   * reader knows without parsing a piece which lists it has already.
   */
  lists: z.record(z.string(), z.strictObject({ sha256, pieces: z.int().min(0) })),
});
export type ShardIndex = z.infer<typeof shardIndex>;

/** Lives in a Secret. */
export const secretIndex = z.strictObject({
  version: z.literal(bundleVersion),
  revision: sha256,
  shards: z.array(
    z.strictObject({ file: z.string().regex(/^secret-[0-9]{2}-[0-9a-f]{12}\.json\.gz$/), sha256 }),
  ),
});
export type SecretIndex = z.infer<typeof secretIndex>;
