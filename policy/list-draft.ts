import type { SourceRef } from '../bundle/source.ts';
import { addRanges, createRangeDraft, finishRangeIndex } from './ip/range-index.ts';
import type { AccessList } from './policy.ts';

/** An IpAccessList of which the entries come piece by piece, as they are read. Only bits are kept of them. */
export class ListDraft {
  private readonly key: string;
  private readonly draft = createRangeDraft();

  /** @param key for messages. */
  constructor(key: string) {
    this.key = key;
  }

  /**
   * Adds entries, in any order. A generator: let others run at each `yield`.
   * @param expires text of a range -> seconds since the epoch at which it stops acting.
   * @throws Error naming the list and the first text that is no range.
   */
  *add(ranges: readonly string[], expires: Readonly<Record<string, number>>): Generator<void, void> {
    try {
      yield* addRanges(this.draft, ranges, expires);
    } catch (cause) {
      throw new Error(`list ${this.key}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    }
  }

  /** The list, ready for look-up. The draft is of no use afterwards. */
  *finish(source: SourceRef): Generator<void, AccessList> {
    return { source, index: yield* finishRangeIndex(this.draft) };
  }
}
