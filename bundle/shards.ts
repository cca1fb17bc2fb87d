import { canonicalJson } from './canonical.ts';
import type { DomainPolicy } from './domain-policy.ts';
import { bundleVersion, type PolicyBundle, type PolicyRules, type SecretBundle } from './policy-bundle.ts';
import { rawUnits, readUnit, type Sha256 } from './shard-content.ts';
import type { SecretIndex, ShardIndex } from './shard-index.ts';
import type { SourceRef } from './source.ts';
import {
  type ListPiece,
  listPart,
  type PublicUnit,
  readPublicUnit,
  readSecretUnit,
  type SecretUnit,
} from './units.ts';

/**
 * What has been read already, so that only what changed is read again. Holds what the last bundle used, and of its lists
 * (nearly all of the bytes) no more than where they lie.
 */
export interface ShardCache {
  /** By hash of the shard. */
  shards: ReadonlyMap<string, ReadShard>;
  /** By unit key. */
  units: ReadonlyMap<string, RuleUnit>;
  /** Domains put together, by the unit key of their head. */
  domains: ReadonlyMap<string, Assembled>;
}

type RuleUnit = Exclude<PublicUnit, { kind: 'listPiece' }>;

interface ReadShard {
  readonly units: readonly RuleUnit[];
  /** Lists of which pieces lie in it. */
  readonly lists: ReadonlySet<string>;
}

interface Assembled {
  readonly parts: readonly RuleUnit[];
  readonly value: DomainPolicy;
}

/** An empty cache for `readRules`. One per MTA: what is unchanged comes back as the same objects. */
export function createShardCache(): ShardCache {
  return { shards: new Map(), units: new Map(), domains: new Map() };
}

/** Where shards are read from, by file name as in the index. Both functions throw an Error that names the file. */
export interface ShardSource {
  /** The bytes after gunzip. */
  readonly read: (file: string) => Promise<Uint8Array>;
  /** Makes sure that a file of which the content is known is there and still has the hash. */
  readonly verify: (file: string, sha256: string) => Promise<void>;
}

/** Takes the entries of lists as they are read, piece by piece. */
export interface ListSink {
  /** Whether the entries of this list are needed; nobody looks at those of the others. */
  readonly wants: (list: string) => boolean;
  readonly add: (list: string, piece: ListPiece) => Promise<void>;
}

/** A public bundle, of which the sink has the lists. */
export interface RulesRead {
  readonly rules: PolicyRules;
  /** Key of every list -> the object that it comes from. */
  readonly sources: ReadonlyMap<string, SourceRef>;
}

/**
 * Reads a public bundle: shards that changed, and those with pieces of lists that the sink wants, one after the other. The
 * others are verified and not read. The cache changes only when all is well.
 *
 * @param index parsed by `shardIndex`
 * @param options.pause awaited after each shard, so that a server goes on serving meanwhile
 * @throws Error naming the file (and the path in it) if anything is missing, does not match its hash or its schema
 */
export async function readRules(
  index: ShardIndex,
  source: ShardSource,
  options: {
    readonly sha256: Sha256;
    readonly cache: ShardCache;
    readonly lists: ListSink;
    readonly pause?: () => Promise<void>;
  },
): Promise<RulesRead> {
  const { cache, lists, pause, sha256: hash } = options;
  const { secretsRevision, shards: entries, domains, routes } = index;
  const content = { secretsRevision, shards: entries, domains, routes, lists: index.lists };
  if (hash(canonicalJson(content)) !== index.bundleHash) {
    throw new Error(
      'index.json: bundleHash does not match its content: the file is incomplete or was edited',
    );
  }
  const read = (key: string, value: unknown): PublicUnit => {
    const known = cache.units.get(key);
    return known !== undefined && sameJson(known.value, value) ? known : readPublicUnit(key, value);
  };
  const shards = new Map<string, ReadShard>();
  const pieces = new Map<string, number>();
  for (const { file, sha256 } of entries) {
    const known = cache.shards.get(sha256);
    if (known !== undefined && ![...known.lists].some(lists.wants)) {
      await source.verify(file, sha256);
      shards.set(sha256, known);
      continue;
    }
    const units: RuleUnit[] = [];
    const listsHere = new Set<string>();
    for (const raw of rawUnits(file, await source.read(file), sha256, hash)) {
      const part = listPart(raw.key);
      if (part?.isPiece) {
        listsHere.add(part.list);
        pieces.set(part.list, (pieces.get(part.list) ?? 0) + 1);
        if (!lists.wants(part.list)) continue;
      } else if (known !== undefined) continue;
      const unit = readUnit(file, raw, read);
      if (unit.kind === 'listPiece') await lists.add(unit.name, unit.value);
      else units.push(unit);
    }
    shards.set(sha256, known ?? { units, lists: listsHere });
    await pause?.();
  }
  const units = [...shards.values()].flatMap((shard) => shard.units);
  const assembled = new Map<string, Assembled>();
  const rules = assemble(index, units, cache, assembled);
  const sources = new Map(unitsOf(units, 'list').map(({ name, value }) => [name, value.source]));
  checkLists(index, rules, sources, (list) => (lists.wants(list) ? (pieces.get(list) ?? 0) : undefined));
  Object.assign(cache, { shards, units: new Map(units.map((unit) => [unit.key, unit])), domains: assembled });
  return { rules, sources };
}

/**
 * Reads a whole public bundle, lists and all.
 *
 * @param index parsed by `shardIndex`
 * @param files shard file -> its bytes after gunzip
 * @throws as `readRules`
 */
export async function readShards(
  index: ShardIndex,
  files: ReadonlyMap<string, Uint8Array>,
  { sha256 }: { readonly sha256: Sha256 },
): Promise<PolicyBundle> {
  const pieces = new Map<string, ListPiece[]>();
  const lists: ListSink = {
    wants: () => true,
    add: async (list, piece) => {
      const known = pieces.get(list);
      if (known === undefined) pieces.set(list, [piece]);
      else known.push(piece);
    },
  };
  const read = async (file: string) => bytesOf(file, files);
  const source: ShardSource = { read, verify: async () => {} };
  const { rules, sources } = await readRules(index, source, { sha256, cache: createShardCache(), lists });
  const whole = [...sources].map(([key, from]) => {
    const parts = pieces.get(key) ?? [];
    return {
      key,
      source: from,
      ranges: parts.flatMap(({ ranges }) => ranges).sort(compareText),
      expires: Object.fromEntries(parts.flatMap(({ expires }) => Object.entries(expires))),
    };
  });
  return { ...rules, lists: sortBy(whole, 'key') };
}

/** Reads a secret bundle; parameters and errors as `readShards`. Messages hold no values. */
export function readSecretShards(
  index: SecretIndex,
  files: ReadonlyMap<string, Uint8Array>,
  options: { readonly sha256: Sha256 },
): SecretBundle {
  const units = index.shards.flatMap(({ file, sha256 }) =>
    [...rawUnits(file, bytesOf(file, files), sha256, options.sha256)].map((raw) =>
      readUnit(file, raw, readSecretUnit),
    ),
  );
  const of = <K extends SecretUnit['kind']>(kind: K) =>
    units.filter((unit): unit is Extract<SecretUnit, { kind: K }> => unit.kind === kind);
  const accounts = Map.groupBy(of('accounts'), ({ name }) => name);
  const [hop] = of('hop');
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
    ...(hop && { hopKey: hop.value }),
  };
}

/** Order of UTF-16 code units, as `Array.prototype.sort` and RFC 8785 have it: the same in every locale. */
export function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function bytesOf(file: string, files: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const bytes = files.get(file);
  if (bytes === undefined) throw new Error(`${file}: the index names it, but it is not there`);
  return bytes;
}

function unitsOf<K extends RuleUnit['kind']>(units: readonly RuleUnit[], kind: K) {
  return units.filter((unit): unit is Extract<RuleUnit, { kind: K }> => unit.kind === kind);
}

function assemble(
  index: ShardIndex,
  units: readonly RuleUnit[],
  cache: ShardCache,
  assembled: Map<string, Assembled>,
): PolicyRules {
  const piecesOfRecipients = Map.groupBy(unitsOf(units, 'recipients'), ({ name }) => name);
  const domainsOf = (kind: 'domain' | 'audited'): DomainPolicy[] =>
    unitsOf(units, kind).map((head) => {
      const pieces = head.value.recipientsInPieces ? (piecesOfRecipients.get(head.name) ?? []) : [];
      const parts = [head, ...pieces];
      const known = cache.domains.get(head.key);
      const value =
        known !== undefined && sameParts(known.parts, parts) ? known.value : domainFrom(head, pieces);
      assembled.set(head.key, { parts, value });
      return value;
    });
  return {
    version: bundleVersion,
    namespace: index.namespace,
    mta: index.mta,
    domains: sortBy(domainsOf('domain'), 'domain'),
    audited: sortBy(domainsOf('audited'), 'domain'),
    routes: sortBy(
      unitsOf(units, 'route').map(({ value }) => value),
      'name',
    ),
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

/** A block list that is not there or lacks a piece would let somebody in: better no new bundle. */
function checkLists(
  index: ShardIndex,
  { domains, audited }: PolicyRules,
  sources: ReadonlyMap<string, SourceRef>,
  piecesRead: (list: string) => number | undefined,
): void {
  for (const { domain, access } of [...domains, ...audited]) {
    const missing = [...access.allow, ...access.block].find((key) => !sources.has(key));
    if (missing !== undefined)
      throw new Error(`domain ${domain} names the list ${missing}, which is in no shard`);
  }
  const indexed = new Map(Object.entries(index.lists));
  for (const key of sources.keys()) {
    if (!indexed.has(key)) throw new Error(`list ${key} is in a shard, but not in the index`);
  }
  for (const [key, { pieces }] of indexed) {
    const read = piecesRead(key) ?? pieces;
    if (!sources.has(key) || read !== pieces)
      throw new Error(`list ${key}: the index names a head and ${pieces} pieces; the shards hold ${read}`);
  }
}

function sameParts(left: readonly RuleUnit[], right: readonly RuleUnit[]): boolean {
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
