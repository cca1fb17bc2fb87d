import * as z from 'zod';
import { canonicalJson } from './canonical.ts';
import type { DomainPolicy } from './domain-policy.ts';
import { bundleVersion, type PolicyBundle, type SecretBundle } from './policy-bundle.ts';
import type { RangeList } from './range-list.ts';
import type { SecretIndex, ShardIndex } from './shard-index.ts';
import { type PublicUnit, readPublicUnit, readSecretUnit, type SecretUnit } from './units.ts';

/** SHA-256 as 64 lower-case hex digits. Passed in: this folder runs anywhere. */
export type Sha256 = (bytes: Uint8Array | string) => string;

/** What has been read already, so that only what changed is read again. Holds what the last bundle used. */
export interface ShardCache {
  /** By hash of the shard. */
  shards: ReadonlyMap<string, readonly PublicUnit[]>;
  /** By unit key. */
  units: ReadonlyMap<string, PublicUnit>;
  /** Lists and domains put together, by the unit key of their head. */
  values: ReadonlyMap<string, Assembled>;
}

interface Assembled {
  readonly parts: readonly PublicUnit[];
  readonly value: RangeList | DomainPolicy;
}

/** An empty cache for `readShards`. One per MTA: what is unchanged comes back as the same objects. */
export function createShardCache(): ShardCache {
  return { shards: new Map(), units: new Map(), values: new Map() };
}

export interface ReadOptions {
  readonly sha256: Sha256;
  readonly cache?: ShardCache;
  /** Awaited after each shard and each list that had to be read, so that a server goes on serving meanwhile. */
  readonly pause?: () => Promise<void>;
}

/** The files that must be read for this index: all, but those whose content the cache holds. */
export function shardsToRead(index: ShardIndex, cache?: ShardCache): string[] {
  return index.shards.filter(({ sha256 }) => !cache?.shards.has(sha256)).map(({ file }) => file);
}

/**
 * Reads a public bundle. The cache changes only when all is well.
 *
 * @param index parsed by `shardIndex`
 * @param files shard file -> its bytes after gunzip; those that `shardsToRead` does not name may be missing
 * @throws Error naming the file (and the path in it) if anything is missing, does not match its hash or its schema
 */
export async function readShards(
  index: ShardIndex,
  files: ReadonlyMap<string, Uint8Array>,
  options: ReadOptions,
): Promise<PolicyBundle> {
  const { cache, pause, sha256: hash } = options;
  const { secretsRevision, shards: entries, domains, routes } = index;
  if (hash(canonicalJson({ secretsRevision, shards: entries, domains, routes })) !== index.bundleHash) {
    throw new Error(
      'index.json: bundleHash does not match its content: the file is incomplete or was edited',
    );
  }
  const read = (key: string, value: unknown): PublicUnit => {
    const known = cache?.units.get(key);
    return known !== undefined && sameJson(known.value, value) ? known : readPublicUnit(key, value);
  };
  const shards = new Map<string, readonly PublicUnit[]>();
  for (const { file, sha256 } of entries) {
    const known = cache?.shards.get(sha256);
    shards.set(sha256, known ?? readShard(file, sha256, files, hash, read));
    if (known === undefined) await pause?.();
  }
  const all = [...shards.values()].flat();
  const { bundle, values } = await assemble(index, all, options);
  if (cache !== undefined)
    Object.assign(cache, { shards, units: new Map(all.map((unit) => [unit.key, unit])), values });
  return bundle;
}

/** Reads a secret bundle; parameters and errors as `readShards`. Messages hold no values. */
export function readSecretShards(
  index: SecretIndex,
  files: ReadonlyMap<string, Uint8Array>,
  options: Pick<ReadOptions, 'sha256'>,
): SecretBundle {
  const units = index.shards.flatMap(({ file, sha256 }) =>
    readShard(file, sha256, files, options.sha256, readSecretUnit),
  );
  const of = <K extends SecretUnit['kind']>(kind: K) =>
    units.filter((unit): unit is Extract<SecretUnit, { kind: K }> => unit.kind === kind);
  const accounts = Map.groupBy(of('accounts'), ({ name }) => name);
  return {
    version: bundleVersion,
    routeAuth: Object.fromEntries(of('auth').map(({ name, value }) => [name, value])),
    accounts: Object.fromEntries(
      [...accounts].map(([domain, pieces]) => [
        domain,
        sortBy(
          pieces.flatMap(({ value }) => value),
          'name',
        ),
      ]),
    ),
    dkimKeys: Object.fromEntries(of('dkim').map(({ name, value }) => [name, value])),
  };
}

/** Order of UTF-16 code units, as `Array.prototype.sort` and RFC 8785 have it: the same in every locale. */
export function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function readShard<U>(
  file: string,
  sha256: string,
  files: ReadonlyMap<string, Uint8Array>,
  hash: Sha256,
  read: (key: string, value: unknown) => U,
): U[] {
  const bytes = files.get(file);
  if (bytes === undefined) throw new Error(`${file}: the index names it, but it is not there`);
  if (hash(bytes) !== sha256) throw new Error(`${file}: its content does not match the hash in the index`);
  return Object.entries(parseObject(file, bytes)).map(([key, value]) => {
    try {
      return read(key, value);
    } catch (error) {
      throw new Error(`${file}: ${key}: ${describe(error)}`);
    }
  });
}

function parseObject(file: string, bytes: Uint8Array): object {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // The parser's own message would quote the text, which may be a key.
  }
  throw new Error(`${file}: is not a JSON object`);
}

/** What is wrong and where, without the values (a secret shard comes through here too). */
function describe(error: unknown): string {
  if (!(error instanceof z.ZodError)) return error instanceof Error ? error.message : String(error);
  return error.issues
    .map(({ path, message }) => `${path.map(String).join('.') || '(root)'}: ${message}`)
    .join('; ');
}

async function assemble(index: ShardIndex, units: readonly PublicUnit[], options: ReadOptions) {
  const of = <K extends PublicUnit['kind']>(kind: K) =>
    units.filter((unit): unit is Extract<PublicUnit, { kind: K }> => unit.kind === kind);
  const piecesOfList = Map.groupBy(of('listPiece'), ({ name }) => name);
  const piecesOfRecipients = Map.groupBy(of('recipients'), ({ name }) => name);
  const values = new Map<string, Assembled>();

  /** The value as it was put together last time if its parts are the same objects, else made anew. */
  const reuse = <V extends Assembled['value']>(
    parts: readonly PublicUnit[],
    isValue: (value: Assembled['value']) => value is V,
    make: () => V,
  ): V => {
    const key = parts[0]?.key ?? '';
    const known = options.cache?.values.get(key);
    const same = known !== undefined && sameParts(known.parts, parts) && isValue(known.value);
    const value = same && isValue(known.value) ? known.value : make();
    values.set(key, { parts, value });
    return value;
  };

  const lists: RangeList[] = [];
  for (const head of of('list')) {
    const pieces = piecesOfList.get(head.name) ?? [];
    lists.push(reuse([head, ...pieces], isList, () => listFrom(head, pieces)));
    if (options.cache?.values.get(`list/${head.name}`)?.value !== lists.at(-1)) await options.pause?.();
  }
  const domainsOf = (kind: 'domain' | 'audited'): DomainPolicy[] =>
    of(kind).map((head) => {
      const pieces = head.value.recipientsInPieces ? (piecesOfRecipients.get(head.name) ?? []) : [];
      return reuse([head, ...pieces], isDomain, () => domainFrom(head, pieces));
    });
  const bundle: PolicyBundle = {
    version: bundleVersion,
    namespace: index.namespace,
    mta: index.mta,
    domains: sortBy(domainsOf('domain'), 'domain'),
    audited: sortBy(domainsOf('audited'), 'domain'),
    lists: sortBy(lists, 'key'),
    routes: sortBy(
      of('route').map(({ value }) => value),
      'name',
    ),
  };
  checkListNames(bundle);
  return { bundle, values };
}

function listFrom(
  head: Extract<PublicUnit, { kind: 'list' }>,
  pieces: readonly Extract<PublicUnit, { kind: 'listPiece' }>[],
): RangeList {
  return {
    key: head.name,
    source: head.value.source,
    ranges: pieces.flatMap(({ value }) => value.ranges).sort(compareText),
    expires: Object.fromEntries(pieces.flatMap(({ value }) => Object.entries(value.expires))),
  };
}

function domainFrom(
  head: Extract<PublicUnit, { kind: 'domain' | 'audited' }>,
  pieces: readonly Extract<PublicUnit, { kind: 'recipients' }>[],
): DomainPolicy {
  const { policy, recipientsInPieces } = head.value;
  if (!recipientsInPieces) return policy;
  const localParts = pieces.flatMap(({ value }) => value.localParts).sort(compareText);
  return { ...policy, recipients: { ...policy.recipients, localParts } };
}

/** A block list that is not there would let everybody in: better no new bundle. */
function checkListNames(bundle: PolicyBundle): void {
  const keys = new Set(bundle.lists.map(({ key }) => key));
  for (const { domain, access } of [...bundle.domains, ...bundle.audited]) {
    const missing = [...access.allow, ...access.block].find((key) => !keys.has(key));
    if (missing !== undefined)
      throw new Error(`domain ${domain} names the list ${missing}, which is in no shard`);
  }
}

function isList(value: Assembled['value']): value is RangeList {
  return 'ranges' in value;
}

function isDomain(value: Assembled['value']): value is DomainPolicy {
  return 'domain' in value;
}

function sameParts(left: readonly PublicUnit[], right: readonly PublicUnit[]): boolean {
  return left.length === right.length && left.every((part, position) => part === right[position]);
}

/** Equality of JSON values, whatever the order of keys. */
function sameJson(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((item, position) => sameJson(item, right[position]));
  }
  if (Array.isArray(left) || Array.isArray(right)) return false;
  const fields = new Map<string, unknown>(Object.entries(right));
  const entries = Object.entries(left);
  return (
    entries.length === fields.size &&
    entries.every(([key, value]) => fields.has(key) && sameJson(value, fields.get(key)))
  );
}

function sortBy<K extends string, T extends Record<K, string>>(items: T[], field: K): T[] {
  return items.sort((left, right) => compareText(left[field], right[field]));
}
