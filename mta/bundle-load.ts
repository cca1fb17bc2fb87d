import { setImmediate } from 'node:timers/promises';
import type { PolicyBundle, SecretBundle } from '../bundle/policy-bundle.ts';
import type { SecretIndex, ShardIndex } from '../bundle/shard-index.ts';
import {
  createShardCache,
  type ListSink,
  readRules,
  readSecretShards,
  readShards,
} from '../bundle/shards.ts';
import type { SourceRef } from '../bundle/source.ts';
import { ListDraft } from '../policy/list-draft.ts';
import { loadRules, type Policy } from '../policy/load.ts';
import type { AccessList } from '../policy/policy.ts';
import { workInSlices } from '../policy/slices.ts';
import { PolicyDirectory, sha256 } from './policy-directory.ts';

/** What a complete and verified set of files says. */
export interface PolicyRead {
  readonly index: ShardIndex;
  readonly secrets: SecretBundle;
  readonly policy: Policy;
}

const pause = () => setImmediate();

/**
 * Reads one policy directory again and again. A full policy is two million entries: as text they would be ten times the size
 * of the rest of the process, so they become bits shard by shard, and a change reads only the lists that changed.
 */
export class PolicyReader {
  private readonly directory: string;
  private readonly cache = createShardCache();
  private verified: ReadonlyMap<string, string> = new Map();

  constructor(directory: string) {
    this.directory = directory;
  }

  /**
   * @param loaded what was read last, if it is in force: unchanged lists are taken from it.
   * @returns undefined if the files are those of `loaded`.
   * @throws Error that says which file is wrong and how; it never quotes content, which may be secret.
   */
  async read(loaded: Omit<PolicyRead, 'secrets'> | undefined): Promise<PolicyRead | undefined> {
    const files = await PolicyDirectory.open(this.directory, this.verified);
    const index = await files.index();
    if (loaded !== undefined && same(loaded.index, index)) return undefined;
    const secrets = await readSecrets(files, await files.secretIndex(index));
    const lists = new ListsRead(index, loaded);
    const { rules, sources } = await readRules(index, files, { sha256, cache: this.cache, lists, pause });
    const policy = await loadRules(rules, await lists.finish(sources), { pause });
    this.verified = files.verified;
    return { index, secrets, policy };
  }
}

/**
 * Reads the bundle in a policy directory with the texts of all its lists: for the command line, not for an MTA.
 * @throws Error that says which file is wrong and how.
 */
export async function readBundle(directory: string): Promise<PolicyBundle> {
  const files = await PolicyDirectory.open(directory);
  const index = await files.index();
  await files.secretIndex(index);
  return readShards(index, await readAll(files, index.shards), { sha256 });
}

/** The lists of a policy in the making: those of the policy before as far as the index says that they are the same. */
class ListsRead implements ListSink {
  private readonly kept: ReadonlyMap<string, AccessList>;
  private readonly drafts = new Map<string, ListDraft>();

  constructor(index: ShardIndex, loaded: Omit<PolicyRead, 'secrets'> | undefined) {
    const known = new Map(Object.entries(loaded?.index.lists ?? {}));
    const kept = [...(loaded?.policy.lists ?? [])].filter(
      ([key]) => index.lists[key]?.sha256 === known.get(key)?.sha256,
    );
    this.kept = new Map(kept);
  }

  readonly wants = (list: string) => !this.kept.has(list);

  readonly add: ListSink['add'] = async (list, { ranges, expires }) => {
    const draft = this.drafts.get(list) ?? new ListDraft(list);
    this.drafts.set(list, draft);
    await workInSlices(draft.add(ranges, expires), pause);
  };

  /** @param sources of all lists of the bundle, by key. */
  async finish(sources: ReadonlyMap<string, SourceRef>): Promise<Map<string, AccessList>> {
    const lists = new Map<string, AccessList>();
    for (const [key, source] of sources) {
      const kept = this.kept.get(key);
      const draft = this.drafts.get(key) ?? new ListDraft(key);
      this.drafts.delete(key);
      lists.set(key, kept ? renewed(kept, source) : await workInSlices(draft.finish(source), pause));
    }
    return lists;
  }
}

function renewed(list: AccessList, source: SourceRef): AccessList {
  const { kind, name, generation } = list.source;
  const isSame = kind === source.kind && name === source.name && generation === source.generation;
  return isSame ? list : { ...list, source };
}

function same(left: ShardIndex, right: ShardIndex): boolean {
  return left.bundleHash === right.bundleHash && left.secretsRevision === right.secretsRevision;
}

async function readSecrets(files: PolicyDirectory, index: SecretIndex): Promise<SecretBundle> {
  return readSecretShards(index, await readAll(files, index.shards), { sha256 });
}

async function readAll(
  files: PolicyDirectory,
  shards: readonly { readonly file: string }[],
): Promise<Map<string, Uint8Array>> {
  const read = new Map<string, Uint8Array>();
  for (const { file } of shards) read.set(file, await files.read(file));
  return read;
}
