import { LRUCache } from 'lru-cache';
import { canonicalJson } from '../../bundle/canonical.ts';
import { indexOf, type PackedShard, packShards, secretIndexOf } from '../../bundle/pack-shards.ts';
import { bundleVersion } from '../../bundle/policy-bundle.ts';
import { publicIndexFile, secretIndexFile } from '../../bundle/shard-index.ts';
import { publicUnits, secretUnits, type Unit } from '../../bundle/units.ts';
import { secretsRevisionOf, sha256 } from '../compile/hashes.ts';
import type { MtaPolicy } from '../compile/model.ts';
import type { RenderedMta } from '../platform/platform.ts';
import { gzip } from './gzip.ts';
import { renderHarakaFiles } from './haraka-files.ts';

/**
 * Renders the policy of one MTA to the files that its pods read. Pure and byte-stable: equal policies give equal bytes.
 *
 * @throws if a shard does not fit, which the compiler prevents by leaving domains out
 */
export function render(policy: MtaPolicy): RenderedMta {
  const { mta, bundle, secrets, hashes, settings } = policy;
  const { namespace } = bundle;
  const secretsRevision = secretsRevisionOf(policy.secretRevisions);
  const shards = pack(publicUnits(bundle), 'public', `${namespace}/${mta}`);
  const secretShards = pack(secretUnits(secrets), 'secret', `${namespace}/${mta}`);
  const index = indexOf(
    { version: bundleVersion, namespace, mta, secretsRevision, ...hashes },
    shards,
    sha256,
  );
  const secretIndex = secretIndexOf({ version: bundleVersion, revision: secretsRevision }, secretShards);
  const coldFiles = renderHarakaFiles(settings, {
    namespace,
    mta,
    ...(policy.clusterRanges && { clusterRanges: policy.clusterRanges }),
  });
  return {
    mta,
    bundleHash: index.bundleHash,
    coldHash: sha256(canonicalJson(Object.fromEntries(coldFiles))),
    publicFiles: filesOf(publicIndexFile, index, shards),
    secretFiles: filesOf(secretIndexFile(secretsRevision), secretIndex, secretShards),
    coldFiles,
  };
}

/** Bytes of compressed shards that are kept between renderings, over all MTAs. */
const maxCachedBytes = 64 * 1024 * 1024;

/**
 * The shards of the last rendering of each MTA: after an edit all but one or two of 48 are the same again. A cache only: what
 * comes out does not depend on it.
 */
const packed = new LRUCache<string, Map<number, PackedShard>>({
  maxSize: maxCachedBytes,
  sizeCalculation: (shards) => 1 + [...shards.values()].reduce((sum, { bytes }) => sum + bytes.length, 0),
});

function pack(units: readonly Unit[], kind: 'public' | 'secret', owner: string): PackedShard[] {
  const key = `${kind} ${owner}`;
  const previous = packed.get(key) ?? new Map<number, PackedShard>();
  packed.delete(key);
  const shards = packShards(units, { kind, sha256, gzip, previous });
  packed.set(key, previous);
  return shards;
}

function filesOf(
  indexFile: string,
  index: unknown,
  shards: readonly PackedShard[],
): ReadonlyMap<string, Uint8Array> {
  return new Map([
    [indexFile, new TextEncoder().encode(canonicalJson(index))],
    ...shards.map(({ file, bytes }) => [file, bytes] as const),
  ]);
}
