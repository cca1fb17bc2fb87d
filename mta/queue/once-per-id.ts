import { LRUCache } from 'lru-cache';

/** Does what is asked for under an id once, however often it is asked for: also while it is being done. */
export class OncePerId<Result extends object> {
  private readonly results: LRUCache<string, Promise<Result>>;
  private readonly isFinal: (result: Result) => boolean;

  /**
   * @param max ids that are remembered, the latest ones.
   * @param isFinal whether a result stays; after another one, as after an error, the thing is done anew when it is asked for again.
   */
  constructor(max: number, isFinal: (result: Result) => boolean) {
    this.results = new LRUCache({ max });
    this.isFinal = isFinal;
  }

  /** @throws whatever `work` throws, to all that wait for it. */
  async run(id: string, work: () => Promise<Result>): Promise<Result> {
    const known = this.results.get(id);
    if (known !== undefined) return known;
    const running = work();
    this.results.set(id, running);
    let stays = false;
    try {
      const result = await running;
      stays = this.isFinal(result);
      return result;
    } finally {
      if (!stays) this.results.delete(id);
    }
  }
}
