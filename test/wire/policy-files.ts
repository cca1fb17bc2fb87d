import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { canonicalJson } from '../../bundle/canonical.ts';
import { indexOf, packShards, secretIndexOf } from '../../bundle/pack-shards.ts';
import type { PolicyBundle, SecretBundle } from '../../bundle/policy-bundle.ts';
import { publicIndexFile, secretIndexFile } from '../../bundle/shard-index.ts';
import { publicUnits, secretUnits } from '../../bundle/units.ts';

export const noSecrets: SecretBundle = { version: 1, routeAuth: {}, accounts: {}, dkimKeys: {} };

/** The hot files of a bundle, as the operator renders them. */
export function policyFiles(
  bundle: PolicyBundle,
  secrets: SecretBundle = noSecrets,
): Map<string, Uint8Array> {
  const gzip = (text: string) => gzipSync(text);
  const shards = packShards(publicUnits(bundle), { kind: 'public', sha256, gzip });
  const secretShards = packShards(secretUnits(secrets), { kind: 'secret', sha256, gzip });
  const secretsRevision = sha256(canonicalJson(secretShards.map(({ sha256: hash }) => hash)));
  const slices = <T>(items: readonly T[], name: (item: T) => string) =>
    Object.fromEntries(items.map((item) => [name(item), sha256(canonicalJson(item))]));
  const index = indexOf(
    {
      version: 1,
      namespace: bundle.namespace,
      mta: bundle.mta,
      secretsRevision,
      domains: slices(bundle.domains, ({ domain }) => domain),
      routes: slices(bundle.routes, ({ name }) => name),
    },
    shards,
    sha256,
  );
  const secretIndex = secretIndexOf({ version: 1, revision: secretsRevision }, secretShards);
  const files = new Map<string, Uint8Array>();
  for (const { file, bytes } of [...shards, ...secretShards]) files.set(file, bytes);
  files.set(publicIndexFile, Buffer.from(canonicalJson(index)));
  files.set(secretIndexFile(secretsRevision), Buffer.from(canonicalJson(secretIndex)));
  return files;
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
