/** Seconds for which what is told stays once it has changed: statuses are made from it, and are written at most so often. */
const stays = 600;

/** A value of /state that statuses are made from: the first one is told at once, a later one after ten minutes. */
export class Seldom<T> {
  private last: { readonly at: number; readonly value: T } | undefined;

  /**
   * @param value what is so now.
   * @param now seconds since the epoch.
   * @returns what is to be told.
   */
  tell(value: T, now: number): T {
    // A clock that was set back does not make it younger than it is (X25).
    if (this.last !== undefined && Math.abs(now - this.last.at) < stays) return this.last.value;
    this.last = { at: now, value };
    return value;
  }
}
